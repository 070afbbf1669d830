import { handlers } from '../../../integration/handlers/index.ts'
import type { Probe } from './world.ts'

/**
 * This module is loaded before the app, into its process, and puts mischief around every handler, while the handler
 * itself runs as it is. The first run of each delivery does its whole work and then
 * - throw: fails, as when the last line of a handler throws;
 * - hang: never ends, so that a kill meets it after its work and before its outcome;
 * - slow: ends only after a while that is longer than a sender waits.
 */
const SLOW_MS = 12_000

type Lists = Record<string, AnyHandler | undefined>
type AnyHandler = (context: { delivery: { attempt: number; id: number } }) => Promise<unknown>

const mischief: Record<Probe, (id: number) => Promise<void>> = {
  throw: () => Promise.reject(new DrillError('thrown after the handler had done its work')),
  hang(id) {
    process.stdout.write(`drill: delivery ${id} hangs\n`)
    return new Promise(() => {})
  },
  slow: () => new Promise(resolve => setTimeout(resolve, SLOW_MS)),
}

class DrillError extends Error {
  override readonly name = 'Drill'
}

const probe = new URL(import.meta.url).search.slice(1) as Probe
for (const [provider, list] of Object.entries<object>({ ...handlers }) as [string, Lists][]) {
  // Aghanim waits for the answer of its handler: nothing of it is queued, or run again.
  if (provider === 'aghanim') continue
  for (const [type, handler] of Object.entries(list))
    list[type] = async context => {
      await handler?.(context)
      if (context.delivery.attempt === 1) await mischief[probe](context.delivery.id)
    }
}
