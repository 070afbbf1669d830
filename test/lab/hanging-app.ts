import { createApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config/settings.ts'
import { createSealer } from '../../src/keys/sealing.ts'
import { createLines } from '../../src/process/logger.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { openDatabase } from '../../src/storage/open.ts'

/** A process whose handler never ends the first time, and says so: for the test that kills it there. */
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
      revento: {
        'application.approved': async ({ delivery, event }) => {
          process.stdout.write(`began ${event.id} attempt ${delivery.attempt}\n`)
          if (delivery.attempt === 1) await new Promise(() => {})
        },
      },
    },
  },
})
await app.listen({ host: config.host, port: config.port })
process.stdout.write('Ready\n')
