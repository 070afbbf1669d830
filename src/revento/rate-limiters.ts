import type { Runtime } from '../process/runtime.ts'
import type { Window } from './budget.ts'
import type { ApiConnection, Budgets } from './budgets.ts'
import { createLimiter, type Limiter } from './rate-limiter.ts'

const SWEEP_MS = 60_000

/** One limiter for each connection that this process has used within the last hour. */
export function createLimiters(
  { budgets, windows }: { budgets: Budgets; windows: readonly Window[] },
  runtime: Runtime,
): { of(connection: ApiConnection): Limiter } {
  const limiters = new Map<string, Limiter>()
  let sweptAt = runtime.monotonic()

  function sweep(): void {
    if (runtime.monotonic() - sweptAt < SWEEP_MS) return
    sweptAt = runtime.monotonic()
    for (const [name, limiter] of limiters) if (limiter.isIdle()) limiters.delete(name)
  }

  return {
    of(connection) {
      sweep()
      const name = `${connection.eventId} ${connection.organizationId}`
      const limiter =
        limiters.get(name) ??
        createLimiter({ windows, change: work => budgets.change(connection, work) }, runtime)
      limiters.set(name, limiter)
      return limiter
    },
  }
}
