import type { Runtime } from '../runtime.ts'
import type { AuthorizeRequest } from './authorize.request.ts'

export interface Consents {
  add(request: AuthorizeRequest): string
  /** The request behind an id, once. */
  take(id: string): AuthorizeRequest | undefined
}

const LIFE_MS = 600_000
const KEPT = 1000

/** Requests waiting for a decision. The form carries only an id, so nothing on the page can be tampered with. */
export function createConsents(runtime: Runtime): Consents {
  const waiting = new Map<string, { request: AuthorizeRequest; until: number }>()
  return {
    add(request) {
      const id = runtime.bytes(24).toString('base64url')
      waiting.set(id, { request, until: runtime.now() + LIFE_MS })
      const [oldest] = waiting.keys()
      if (waiting.size > KEPT && oldest !== undefined) waiting.delete(oldest)
      return id
    },
    take(id) {
      const consent = waiting.get(id)
      waiting.delete(id)
      return consent && runtime.now() < consent.until ? consent.request : undefined
    },
  }
}
