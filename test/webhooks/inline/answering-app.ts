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
 * A process that answers with its number; it says when its handler began, and for which question. A slow one ends with
 * SIGUSR2, and where HANGS is set a hanging one never does.
 */
const { HANGS, CLOCK_AHEAD_MS = '0' } = process.env
// A signal for which nobody waits would end the process.
process.on('SIGUSR2', () => {})
// The event loop never counts as late, however busy the test machine is.
// A sleep of five seconds takes half a second, so that leases are renewed more often.
const runtime = {
  ...systemRuntime,
  late: () => 0,
  now: () => Date.now() + Number(CLOCK_AHEAD_MS),
  sleep: (ms: number, signal?: AbortSignal) => systemRuntime.sleep(ms === 5_000 ? 500 : ms, signal),
}
const config = loadConfig(process.env)
const database = await openDatabase(config.store, runtime)
const app = await createApp(config, {
  database,
  sealer: createSealer({ current: Buffer.alloc(32, 7) }, runtime),
  outgoing: createOutgoing(),
  runtime,
  logger: createLines('silent', () => {}),
  integration: {
    handlers: {
      revento: {},
      aghanim: {
        'player.verify': async ({ event }) => {
          const { event_id: question } = event as { event_id: string }
          process.stdout.write(`began ${question}\n`)
          if (HANGS && question === 'whevt_hanging') return new Promise<never>(() => {})
          if (question === 'whevt_slow') await new Promise(resolve => process.once('SIGUSR2', resolve))
          await delay(300)
          return { body: { pid: process.pid } }
        },
      },
    },
  },
})
await app.listen({ host: config.host, port: config.port })
process.stdout.write('Ready\n')
