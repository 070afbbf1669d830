import { expect, test } from 'vitest'
import { createSealer } from '../../src/keys/sealing.ts'
import { createAccessTokens } from '../../src/oauth/access-token.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { createRefresh } from '../../src/oauth/refresh.ts'
import { createRefreshLeases } from '../../src/oauth/refresh-lease.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import { ApiError } from '../../src/revento/api.ts'
import type { TokenOutcome } from '../../src/revento/token-outcome.ts'
import { testDatabase } from '../helpers/database.ts'
import { virtualTime } from '../helpers/virtual-time.ts'

const MINUTE_MS = 60_000
const OUTAGE_MS = 10 * MINUTE_MS
const CALL_EVERY_MS = 10_000
const COUNT = 12
const log = { info() {}, warn() {}, error() {} }

const cut: TokenOutcome = { kind: 'unknown', detail: 'UND_ERR_SOCKET', timeout: false, atWork: false }
const silent: TokenOutcome = { kind: 'unknown', detail: 'TimeoutError', timeout: true, atWork: true }
const busy: TokenOutcome = { kind: 'transient', detail: 'status_503', timeout: false }

interface Outage {
  readonly outcome: TokenOutcome
  readonly ms?: number
  /** Revento acts on the request, and its answer is lost. */
  readonly isProcessed?: true
}

/** Uses connections whose access tokens expire, while the token endpoint is in trouble for ten minutes. */
async function outage({ outcome, ms = 0, isProcessed }: Outage) {
  const time = virtualTime()
  const { runtime } = time
  const { query } = await testDatabase(runtime)
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, systemRuntime)
  const connections = createConnections(query, sealer, runtime, { log, platform: 'real' })
  const leases = createRefreshLeases(query, sealer, runtime, createSteadyClock(runtime), 'real')
  const endsAt = runtime.now() + OUTAGE_MS
  const live = new Map<string, { refresh: string; access: string }>()
  const requests = new Map<string, number[]>()
  const rejected = new Set<string>()
  let serial = 0

  const lifetimes = { expiresIn: undefined, refreshExpiresIn: undefined, scope: undefined }
  function issue(eventId: string, organizationId: string) {
    const pair = { refresh: `refresh_${++serial}`, access: `access_${serial}` }
    live.set(eventId, pair)
    return {
      accessToken: pair.access,
      refreshToken: pair.refresh,
      eventId,
      organizationId,
      ...lifetimes,
    }
  }

  const refresh = createRefresh(
    {
      leases,
      log,
      origin: '',
      tokenEndpoint: {
        authorizationUrl: async () => '',
        exchangeCode: async () => cut,
        async refresh(token, { eventId, organizationId }) {
          requests.set(eventId, [...(requests.get(eventId) ?? []), runtime.now()])
          const inTrouble = runtime.now() < endsAt
          const isGood = live.get(eventId)?.refresh === token
          const tokens = isGood && (!inTrouble || isProcessed) ? issue(eventId, organizationId) : undefined
          if (ms > 0 && inTrouble) await runtime.sleep(ms)
          if (inTrouble) return outcome
          if (!tokens) rejected.add(eventId)
          return tokens ? { kind: 'tokens', tokens } : { kind: 'rejected' }
        },
      },
    },
    runtime,
  )
  const accessTokens = createAccessTokens({ connections, refresh, log }, runtime)
  const keys = Array.from({ length: COUNT }, (_, n) => ({ eventId: `evt_${n}`, organizationId: 'org_1' }))
  for (const { eventId, organizationId } of keys) {
    await connections.save(issue(eventId, organizationId))
    live.set(eventId, { refresh: live.get(eventId)?.refresh ?? '', access: 'none, it has expired' })
  }

  const backAt = new Map<string, number>()
  const use = (key: (typeof keys)[number]) =>
    accessTokens
      .use(key, async token => {
        if (live.get(key.eventId)?.access !== token) throw new ApiError('token_expired', 401, '')
      })
      .then(
        () => void (backAt.has(key.eventId) || backAt.set(key.eventId, runtime.now())),
        () => {},
      )
  for (let passed = 0; passed < OUTAGE_MS + 3 * MINUTE_MS; passed += CALL_EVERY_MS) {
    for (const key of keys) if (!backAt.has(key.eventId)) void use(key)
    await time.pass(CALL_EVERY_MS)
  }
  const states = await query.selectFrom('connections').select(['event_id', 'state', 'reason']).execute()
  const most = [...requests.values()].flatMap(all =>
    all.map(from => all.filter(at => at >= from && at < from + 5 * MINUTE_MS).length),
  )
  return { states, rejected, most: Math.max(...most), slowest: Math.max(...backAt.values()) - endsAt, backAt }
}

test.for<[string, Outage]>([
  ['refuses', { outcome: busy }],
  ['cuts', { outcome: cut }],
  ['hangs', { outcome: silent, ms: 10_000 }],
])(
  'a token endpoint that $0 unprocessed for ten minutes ends nothing, is asked little, and is back soon',
  { timeout: 120_000 },
  async ([, trouble]) => {
    const { states, most, slowest, backAt } = await outage(trouble)
    expect(states.filter(({ state }) => state !== 'connected')).toEqual([])
    expect(most).toBeLessThanOrEqual(10)
    expect(backAt.size).toBe(COUNT)
    expect(slowest).toBeLessThanOrEqual(120_000)
  },
)

test('a token endpoint that processes and loses its answers: only invalid_grant ends a connection', {
  timeout: 120_000,
}, async () => {
  const { states, rejected, most } = await outage({ outcome: cut, isProcessed: true })
  const ended = states.filter(({ state }) => state !== 'connected')
  expect(new Set(ended.map(({ event_id }) => event_id))).toEqual(rejected)
  expect(new Set(ended.map(({ reason }) => reason))).toEqual(new Set(['refresh_interrupted']))
  expect(ended).toHaveLength(COUNT)
  expect(most).toBeLessThanOrEqual(10)
})
