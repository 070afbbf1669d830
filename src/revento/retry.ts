import type { Runtime } from '../process/runtime.ts'
import { ApiError } from './api-error.ts'
import type { Wait } from './rate-limiter.ts'

/** Requests of one call that Revento did not answer properly, the first one included. */
export const MAX_ATTEMPTS = 3

const BACKOFF_MS = 250
/** "Usually well under a second", the guide says of a full house. */
const CONCURRENT_MS = 150

export type Retrying = <T>(attempt: () => Promise<T>) => Promise<T>

/**
 * Asks again after what may pass by itself: a 429, a 5xx, a broken connection, no answer in time; never after another
 * 4xx. All attempts of one call share the number, also those after a refreshed token.
 */
export function createRetrying(wait: Wait, runtime: Runtime): Retrying {
  let failures = 0
  return async attempt => {
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        if (!(error instanceof ApiError) || !mayPass(error)) throw error
        failures += 1
        const pauseMs = pause(error, failures, runtime)
        const at = runtime.monotonic() + Math.max(pauseMs, error.retryAfterMs ?? 0)
        if (failures >= MAX_ATTEMPTS || at > wait.deadline) throw error
        await runtime.sleep(pauseMs, wait.signal)
      }
    }
  }
}

/** Status 0 alone does not do: our own refusal to wait has it too. */
const mayPass = ({ status, code }: ApiError) =>
  status === 429 ||
  status >= 500 ||
  (status === 0 && (code === 'upstream_error' || code === 'upstream_timeout'))

/** With jitter, so that callers that failed together do not come back together. A longer told wait is the limiter's part. */
function pause({ code }: ApiError, failures: number, runtime: Runtime): number {
  const random = (runtime.bytes(1)[0] ?? 0) / 256
  const base = code === 'concurrent_limit_exceeded' ? CONCURRENT_MS : BACKOFF_MS * 2 ** (failures - 1)
  return Math.round(base * (1 + random))
}
