import type { Random } from './random.ts'

/** What may happen: how often, and with what. Every number is drawn here, so that a schedule is data. */
const slot = (r: Random) => r.below(2)

export const KINDS = {
  new: 10,
  duplicate: 4,
  replay: 4,
  stale: 2,
  future: 2,
  tampered: 2,
  unsigned: 1,
  wrong_secret: 2,
} as const
export type Kind = keyof typeof KINDS

export const TYPES = {
  'application.approved': 8,
  'activity.updated': 2,
  'integration.suspended': 1,
  'chaos.asks': 3,
  'chaos.throws': 2,
  'chaos.slow': 2,
  'chaos.unknown': 1,
} as const
export type HookType = keyof typeof TYPES

/** The sandbox's own, by name; each strikes so many times. */
const SANDBOX_FAULTS = {
  token_500: 2,
  token_slow: 2,
  token_dropped: 3,
  token_invalid_client: 1,
  api_expired: 3,
  api_revoked: 1,
  api_rate_limited: 2,
  api_concurrent: 2,
  api_500: 2,
  api_slow: 1,
  api_silent: 1,
  api_truncated: 2,
  api_cursor_refused: 1,
  api_page_limited: 1,
  webhook_lost: 1,
  webhook_duplicate: 2,
  webhook_out_of_order: 1,
  webhook_stale: 1,
  webhook_future: 1,
  webhook_tampered: 1,
  webhook_reserialised: 1,
  webhook_wrong_secret: 1,
  webhook_burst: 1,
} as const

/** What happens between the app and Revento; see wire.ts. */
export const WIRE_FAULTS = {
  token_429: 2,
  token_redirect: 2,
  token_html: 2,
  token_gateway: 2,
  token_half: 2,
  token_silent: 1,
  api_redirect: 2,
  api_html: 2,
  api_huge: 1,
} as const
export type WireFault = keyof typeof WIRE_FAULTS

const DAY_S = 86_400

export type Outage = 'refuse' | 'hang' | 'cut' | 'html'

export const DRAWS = {
  webhook: {
    weight: 14,
    draw: (r: Random) => ({
      kind: r.weighed(KINDS),
      type: r.weighed(TYPES),
      earlier: r.below(1000),
      slot: slot(r),
    }),
  },
  burst: { weight: 4, draw: (r: Random) => ({ count: r.between(5, 40), slot: slot(r) }) },
  connect: { weight: 3, draw: (r: Random) => ({ from: slot(r), to: slot(r) }) },
  abandon: {
    weight: 1,
    draw: (r: Random) => ({ after: r.pick(['connect', 'consent', 'deny']), slot: slot(r) }),
  },
  callback_twice: { weight: 2, draw: (r: Random) => ({ from: slot(r), to: slot(r) }) },
  participants: { weight: 5, draw: (r: Random) => ({ count: r.between(1, 10), slot: slot(r) }) },
  expire: { weight: 4, draw: (r: Random) => ({ calls: r.below(5) }) },
  revoke: { weight: 1, draw: (r: Random) => ({ what: r.pick(['revoke', 'revoke-refresh-tokens']) }) },
  people: {
    weight: 5,
    draw: (r: Random) => ({
      change: r.pick(['add', 'edit', 'cancel', 'remove', 'remove'] as const),
      count: r.pick([1, 1, 2, 25]),
      tell: r.below(2),
    }),
  },
  compare: { weight: 2, draw: (r: Random) => ({ kill_after: r.pick([0, 1_500, 3_000]) }) },
  jump: {
    weight: 3,
    draw: (r: Random) => ({
      ahead_s: r.pick([0, 0, 0, 60, ...[3_600, 31 * DAY_S, 730 * DAY_S].flatMap(s => [s, -s])]),
    }),
  },
  clock: { weight: 1, draw: (r: Random) => ({ advance_s: r.pick([600, 3_700, 8_000_000]) }) },
  platform_fault: {
    weight: 5,
    draw: (r: Random) => ({ name: r.weighed(SANDBOX_FAULTS), count: r.between(1, 3) }),
  },
  wire_fault: { weight: 4, draw: (r: Random) => ({ name: r.weighed(WIRE_FAULTS), count: r.between(1, 2) }) },
  token_outage: {
    weight: 2,
    draw: (r: Random) => ({
      how: r.pick<Outage>(['refuse', 'hang', 'cut', 'html']),
      ms: r.pick([2_000, 10_000, 60_000]),
    }),
  },
  kill: {
    weight: 4,
    draw: (r: Random) => ({
      slot: slot(r),
      load: r.pick([0, 10, 30]),
      after: r.below(120),
      down: r.below(300),
    }),
  },
  term: { weight: 2, draw: (r: Random) => ({ slot: slot(r), load: r.pick([0, 10]), down: r.below(300) }) },
  second: { weight: 3, draw: (r: Random) => ({ end: r.pick(['SIGTERM', 'SIGKILL'] as const) }) },
  lock: { weight: 2, draw: (r: Random) => ({ ms: r.between(100, 1_900) }) },
  replay_command: { weight: 1, draw: (r: Random) => ({ which: r.below(1000) }) },
  crash_database: { weight: 2, draw: (r: Random) => ({ down: r.below(500) }) },
} as const

export type ActionName = keyof typeof DRAWS
export type ArgsOf<N extends ActionName> = ReturnType<(typeof DRAWS)[N]['draw']>
