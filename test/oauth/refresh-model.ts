import { expect } from 'vitest'
import { createSealer } from '../../src/keys/sealing.ts'
import { type AccessTokens, createAccessTokens } from '../../src/oauth/access-token.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import type { Grants } from '../../src/oauth/grants.ts'
import { createRefresh } from '../../src/oauth/refresh.ts'
import { createRefreshLeases } from '../../src/oauth/refresh-lease.ts'
import { createSignIns } from '../../src/oauth/sign-ins.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import { ApiError } from '../../src/revento/api.ts'
import type { GrantKey } from '../../src/revento/platform.ts'
import type { TokenEndpoint } from '../../src/revento/token-endpoint.ts'
import type { TokenOutcome, TokenSet } from '../../src/revento/token-outcome.ts'
import type { Queries } from '../../src/storage/database.ts'
import type { GrantKind } from '../../src/storage/schema.ts'
import { virtualTime } from '../helpers/virtual-time.ts'

export const FAULTS = [
  'none',
  'refused',
  'unavailable',
  'lost before',
  'lost after',
  'timed out before',
  'timed out after',
  'killed before',
  'killed after',
  'slow',
  'paused past the lease',
] as const
export type Fault = (typeof FAULTS)[number]
export type Command =
  | { do: 'use'; process: number }
  | { do: 'expire' | 'revoke' | 'reject' | 'consent' }
  | { do: 'wait' | 'jump'; ms: number }

interface PlatformState {
  refresh: string
  alive: boolean
  revoked: boolean
  /** An API call was answered token_revoked. */
  told: boolean
  valid: Set<string>
}

/** What one run saw, of a platform that rotates, and revokes the family of a refresh token that comes twice. */
export async function runModel(
  query: Queries,
  eventId: string,
  commands: Command[],
  faults: Fault[],
  kind: GrantKind = 'installation',
) {
  const time = virtualTime()
  const ids = { eventId, organizationId: 'org_1', ...(kind === 'user' && { userId: 'usr_1' }) }
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, systemRuntime)
  const o = { log: { error() {}, warn() {} }, platform: 'real' } as const
  const organizers = createConnections(query, sealer, time.runtime, o)
  const covering = { accessToken: 'none', refreshToken: 'none', ...lifetimes, ...ids }
  if (kind === 'user') await organizers.save(covering)
  const signIns = createSignIns(query, sealer, time.runtime, o)
  // The machinery takes either, each with keys of its own.
  const connections = (kind === 'user' ? signIns : organizers) as Grants<GrantKey, string> & {
    save(tokens: TokenSet): Promise<GrantKey | undefined>
  }
  let key: GrantKey = ids
  const platform: PlatformState = { refresh: '', alive: true, revoked: false, told: false, valid: new Set() }
  const repeats = new Map<string, number>()
  /** By refresh token: when each request began, and when the next may come, by a clock that nobody sets. */
  const presented = new Map<string, { at: number[]; notBefore: number; killed?: boolean }>()
  /** Consents of which the app was told invalid_grant. */
  const heard = new Set<number>()
  const consumed = new Set<string>()
  const committed = new Set<string>()
  /** Which consent a token came from. */
  const familyOf = new Map<string, number>()
  let serial = 0
  let family = 0
  let unaccounted = 0
  let rejected = 0

  const pair = () => {
    platform.refresh = `${eventId}_refresh_${++serial}`
    const accessToken = `${eventId}_access_${serial}`
    platform.valid.add(accessToken)
    familyOf.set(accessToken, family).set(platform.refresh, family)
    return { accessToken, refreshToken: platform.refresh, ...lifetimes, ...ids }
  }

  /** The platform's side of a refresh. */
  function process(token: string): TokenOutcome {
    if (consumed.has(token)) repeats.set(token, (repeats.get(token) ?? 0) + 1)
    // A token of an earlier consent is merely dead; a spent one of this consent revokes the family.
    if (familyOf.get(token) !== family) return { kind: 'rejected' }
    if (token !== platform.refresh) platform.alive = false
    if (!platform.alive) return { kind: 'rejected' }
    consumed.add(token)
    return { kind: 'tokens', tokens: pair() }
  }

  function endpoint(die: () => Promise<never>): TokenEndpoint {
    const lost = { kind: 'unknown', detail: 'UND_ERR_SOCKET', timeout: false, atWork: false } as const
    const late = { kind: 'unknown', detail: 'TimeoutError', timeout: true, atWork: true } as const
    return {
      authorizationUrl: async () => '',
      exchangeCode: async () => lost,
      async refresh(token) {
        expect((await connections.find(key))?.state, 'a token request after the connection ended').toBe(
          'connected',
        )
        expect(rejected, 'a token request after invalid_grant').not.toBe(family)
        const [asked, now] = [family, time.runtime.monotonic()]
        const fault = faults.shift() ?? 'none'
        const before = presented.get(token) ?? { at: [], notBefore: 0 }
        expect(now, 'a request whose predecessor may still be under way').toBeGreaterThanOrEqual(
          before.notBefore,
        )
        const rest = /killed/.test(fault)
          ? 30_000
          : /timed out/.test(fault)
            ? 40_000
            : /lost/.test(fault)
              ? 5_000
              : 0
        presented.set(token, { at: [...before.at, now], notBefore: now + rest, killed: /killed/.test(fault) })
        const lately = before.at.filter(at => now - at < 300_000)
        expect(lately.length, 'more than ten requests in five minutes').toBeLessThan(10)
        if (/lost|killed|paused|timed out/.test(fault)) unaccounted++
        if (fault === 'refused' || fault === 'unavailable')
          return { kind: 'transient', detail: fault, timeout: false }
        if (fault === 'lost before') return lost
        if (fault === 'killed before') return die()
        if (fault === 'timed out before') await time.runtime.sleep(10_000)
        if (fault === 'timed out before') return late
        if (fault === 'slow') await time.runtime.sleep(9_000)
        const outcome = process(token)
        if (fault === 'killed after') return die()
        if (fault === 'lost after') return lost
        if (fault === 'timed out after') await time.runtime.sleep(10_000)
        if (fault === 'timed out after') return late
        if (fault === 'paused past the lease') await time.runtime.sleep(20_000)
        if (outcome.kind === 'rejected') heard.add(asked)
        return outcome
      },
    }
  }

  function start(): { tokens: AccessTokens<GrantKey, string>; alive: boolean } {
    const log = { info() {}, warn() {}, error() {} }
    const die = () => {
      self.alive = false
      return new Promise<never>(() => {})
    }
    const clock = createSteadyClock(time.runtime)
    const bare = createRefreshLeases(query, sealer, time.runtime, clock, 'real')
    const leases = {
      ...bare,
      complete: async (...[lease, tokens]: Parameters<typeof bare.complete>) => {
        const stored = await bare.complete(lease, tokens)
        if (stored) {
          expect(familyOf.get(tokens.accessToken), 'a late refresh overwrote a new consent').toBe(family)
          committed.add(tokens.accessToken)
        }
        return stored
      },
      end: async (...[lease, reason]: Parameters<typeof bare.end>) => {
        const ended = await bare.end(lease, reason)
        if (ended) rejected = family
        return ended
      },
    }
    const options = { leases, tokenEndpoint: endpoint(die), origin: '', log }
    const refresh = createRefresh(options, time.runtime)
    const self = { alive: true, tokens: createAccessTokens({ connections, refresh, log }, time.runtime) }
    return self
  }
  const processes = [start(), start(), start()]

  async function api(token: string): Promise<'ok'> {
    expect(committed.has(token), 'an access token was used before it was committed').toBe(true)
    if (platform.revoked) platform.told = true
    if (platform.revoked) throw new ApiError('token_revoked', 401, '')
    if (!platform.valid.has(token)) throw new ApiError('token_expired', 401, '')
    return 'ok'
  }

  async function use(n: number): Promise<string> {
    const process = processes[n]
    if (!process) return 'no process'
    if (!process.alive) processes[n] = start()
    const [told, consented] = [platform.told, family]
    return (processes[n] ?? process).tokens.use(key, token => {
      if (told && consented === family) expect.fail('an API call after token_revoked')
      return api(token)
    })
  }

  async function consent(): Promise<void> {
    platform.alive = true
    platform.revoked = false
    platform.told = false
    family++
    const tokens = pair()
    const saved = await connections.save(tokens)
    if (kind === 'user') key = saved ?? expect.fail('no organizer has connected the event')
    committed.add(tokens.accessToken)
  }

  /** A process that starts later has only the wall clock to tell how long ago another was killed in its request. */
  function jump(ms: number): void {
    time.jump(ms)
    for (const request of presented.values()) if (request.killed) request.notBefore = 0
  }

  const broken: unknown[] = []
  const watch = (call: Promise<unknown>) =>
    call.catch(error => {
      if (!(error instanceof Error) || error.name === 'AssertionError') broken.push(error)
    })

  async function endedByRevento(): Promise<void> {
    if ((await connections.find(key))?.state === 'reconsent')
      expect(heard, 'a connection ended without invalid_grant').toContain(family)
  }

  await consent()
  for (const command of commands) {
    if (command.do === 'use') void watch(use(command.process))
    if (command.do === 'expire') platform.valid.clear()
    if (command.do === 'revoke') platform.revoked = true
    if (command.do === 'reject') platform.alive = false
    if (command.do === 'consent') await consent()
    if (command.do === 'jump') jump(command.ms)
    await time.pass(command.do === 'wait' ? command.ms : 0)
    await endedByRevento()
  }
  for (let round = 0; round < 3; round++) {
    for (const n of processes.keys()) void watch(use(n))
    await time.pass(20_000)
  }
  await time.pass(400_000)
  await endedByRevento()
  if (broken.length > 0) throw broken[0]
  const repeated = [...repeats.values()].reduce((sum, count) => sum + count, 0)
  expect(repeated, 'a repeat without a request unaccounted for').toBeLessThanOrEqual(unaccounted)

  // Whatever happened: a consent, and the connection works.
  faults.length = 0
  await consent()
  platform.valid.clear()
  const last = use(0)
  void watch(last)
  await time.pass(60_000)
  expect(await last).toBe('ok')
  return { consumed: consumed.size, repeats: repeats.size }
}

const lifetimes = { expiresIn: undefined, refreshExpiresIn: undefined, scope: undefined }
