import type { Runtime } from '../runtime.ts'
import { createLimiter, type Limiter } from './limiter.ts'

/** Whose budget a call uses. */
export interface ApiConnection {
  readonly eventId: string
  readonly organizationId: string
}

const SWEEP_MS = 60_000

/**
 * One limiter for each connection that was used within the last hour. Revento counts by token; a connection has one
 * token at a time, and its next one goes on where the last one stood. This process only: a second one, or a restart,
 * knows nothing of these counts, and then Revento's headers and its 429 are what stops us.
 */
export function createLimiters(runtime: Runtime): { of(connection: ApiConnection): Limiter } {
  const limiters = new Map<string, Limiter>()
  let sweptAt = runtime.now()

  function sweep(): void {
    if (runtime.now() - sweptAt < SWEEP_MS) return
    sweptAt = runtime.now()
    for (const [name, limiter] of limiters) if (limiter.isIdle()) limiters.delete(name)
  }

  return {
    of({ eventId, organizationId }) {
      sweep()
      const name = `${eventId} ${organizationId}`
      const limiter = limiters.get(name) ?? createLimiter(runtime)
      limiters.set(name, limiter)
      return limiter
    },
  }
}
