import { appendFileSync } from 'node:fs'
import type { HandlerContext } from '../../../src/builder/context.ts'
import { handlers } from '../../../src/integration/handlers/index.ts'
import { skewDate } from './clock.ts'

/**
 * Loaded before the app, in its process: notes when each handler begins and ends, in the working directory, while the
 * handler itself runs as it is; adds three that do what the app's own do not; and sets the clock as the run tells it.
 */
skewDate()

const SLOW_MS = 1_200

class ChaosError extends Error {
  override readonly name = 'ChaosError'
}

type Any = (context: HandlerContext) => Promise<unknown>
const list = handlers.revento as Record<string, Any | undefined>

Object.assign(list, {
  'chaos.asks': ({ api }: HandlerContext) => api.participants({ limit: 1 }),
  'chaos.slow': () => new Promise(resolve => setTimeout(resolve, SLOW_MS)),
  async 'chaos.throws'({ delivery }: HandlerContext) {
    if (delivery.attempt === 1) throw new ChaosError('as it was told to')
  },
})

const note = (fields: object) =>
  appendFileSync(
    'runs.jsonl',
    `${JSON.stringify({ ...fields, at: performance.timeOrigin + performance.now() })}\n`,
  )

for (const [type, handler] of Object.entries(list))
  list[type] = async context => {
    const run = { inbox: context.delivery.id, run: crypto.randomUUID() }
    note({ ...run, what: 'begin' })
    try {
      await handler?.(context)
      note({ ...run, what: 'done' })
    } catch (error) {
      note({ ...run, what: 'failed' })
      throw error
    }
  }
