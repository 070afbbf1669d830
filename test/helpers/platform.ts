import { setTimeout as delay } from 'node:timers/promises'
import { type Answer, emptyPage, json, startUpstream, tokens, type Upstream } from './upstream.ts'

/** A Revento with memory: it rotates refresh tokens and revokes the family when one is used twice. */
export interface Platform {
  upstream: Upstream
  /** Begins a new family of tokens, as a consent does, and returns its first ones. */
  issue(): ReturnType<typeof tokens>
  /** From now on the API answers token_expired to every access token issued so far. */
  expire(): void
  revoked(): boolean
  /** Awaited before a refresh is processed. */
  before: () => Promise<unknown>
  /** Awaited after a refresh was processed and before its answer; with false no answer is sent. */
  after: () => Promise<boolean>
  /** How many API calls are under way now, and how many were at most. */
  inFlight: { now: number; most: number }
}

export async function startPlatform(
  o: { tokenDelayMs?: number; apiDelayMs?: number } = {},
): Promise<Platform> {
  const upstream = await startUpstream()
  let current = tokens()
  let alive = true
  const accepted = new Set<unknown>()
  const inFlight = { now: 0, most: 0 }

  const onToken: Answer = async (request, response) => {
    await platform.before()
    if (o.tokenDelayMs) await delay(o.tokenDelayMs)
    if (request.form.get('refresh_token') !== current.refresh_token) alive = false
    if (!alive) return json(400, { error: 'invalid_grant' })(request, response)
    current = tokens()
    accepted.add(current.access_token)
    const answer = current
    if (await platform.after()) json(200, answer)(request, response)
    else response.destroy()
  }
  const onApi: Answer = async (request, response) => {
    inFlight.now++
    inFlight.most = Math.max(inFlight.most, inFlight.now)
    if (o.apiDelayMs) await delay(o.apiDelayMs)
    inFlight.now--
    const token = request.headers.authorization?.slice('Bearer '.length)
    const answer = accepted.has(token) ? json(200, emptyPage) : json(401, { error: 'token_expired' })
    answer(request, response)
  }
  upstream.onToken = (request, response) => void onToken(request, response)
  upstream.onApi = (request, response) => void onApi(request, response)

  const platform: Platform = {
    upstream,
    issue() {
      current = tokens()
      alive = true
      accepted.add(current.access_token)
      return current
    },
    expire: () => accepted.clear(),
    revoked: () => !alive,
    before: async () => true,
    after: async () => true,
    inFlight,
  }
  return platform
}
