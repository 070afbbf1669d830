// part: senders
import { setTimeout as delay } from 'node:timers/promises'
import { createApp } from '../../../src/app.ts'
import { loadConfig } from '../../../src/config/settings.ts'
import { createSealer } from '../../../src/keys/sealing.ts'
import { createLines } from '../../../src/process/logger.ts'
import { systemRuntime } from '../../../src/process/runtime.ts'
import { createOutgoing } from '../../../src/revento/http.ts'
import { openDatabase } from '../../../src/storage/open.ts'

/**
 * A process that answers with its number; it says when its handler began. HANG: the handler never ends. SLOW: it ends
 * with SIGUSR2.
 */
const { HANG, SLOW, CLOCK_AHEAD_MS = '0' } = process.env
const runtime = { ...systemRuntime, now: () => Date.now() + Number(CLOCK_AHEAD_MS) }
const config = loadConfig(process.env)
const database = await openDatabase(config.store, runtime)
const app = await createApp(config, {
  database,
  sealer: createSealer({ current: Buffer.alloc(32, 7) }, runtime),
  outgoing: createOutgoing(),
  runtime,
  logger: createLines('silent', () => {}),
  handlers: {
    revento: {},
    aghanim: {
      'player.verify': async () => {
        process.stdout.write('began\n')
        if (HANG) return new Promise<never>(() => {})
        if (SLOW) await new Promise(resolve => process.once('SIGUSR2', resolve))
        await delay(300)
        return { body: { pid: process.pid } }
      },
    },
  },
})
await app.listen({ host: config.host, port: config.port })
process.stdout.write('Ready\n')
