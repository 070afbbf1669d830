import type { Runtime } from '../../process/runtime.ts'
import type { AuthorizeRequest } from './authorize.request.ts'

export interface Consents {
  add(request: AuthorizeRequest): string
  /** Where the browser goes after the decision. `decide` runs once; a second click gets the same answer. */
  decide(id: string, decide: (request: AuthorizeRequest) => string): string | undefined
}

const LIFE_MS = 600_000
/** A second click comes within this time; later, the page has been used. */
const SECOND_CLICK_MS = 2_000
const KEPT = 1000

/** Requests waiting for a decision. The form carries only an id, so nothing on the page can be tampered with. */
export function createConsents(runtime: Runtime): Consents {
  const waiting = new Map<string, { request: AuthorizeRequest; until: number; location?: string }>()
  return {
    add(request) {
      const id = runtime.bytes(24).toString('base64url')
      waiting.set(id, { request, until: runtime.now() + LIFE_MS })
      const [oldest] = waiting.keys()
      if (waiting.size > KEPT && oldest !== undefined) waiting.delete(oldest)
      return id
    },
    decide(id, decide) {
      const consent = waiting.get(id)
      if (!consent || runtime.now() >= consent.until) return undefined
      const location = consent.location ?? decide(consent.request)
      if (consent.location === undefined)
        waiting.set(id, { ...consent, location, until: runtime.now() + SECOND_CLICK_MS })
      return location
    },
  }
}
