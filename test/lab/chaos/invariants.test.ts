import { describe, expect, test } from 'vitest'
import { leaksIn } from './canaries.ts'
import { judge, type RuleName } from './invariants.ts'
import type { End, Hook, Sighting, TokenCall, Visit } from './record.ts'

const hook = (change: Partial<Hook> = {}): Hook => ({
  kind: 'new',
  envelope: 'evt_1',
  type: 'application.approved',
  person: 'ptp_1',
  aheadMs: 0,
  slot: 0,
  at: 1_000,
  ms: 20,
  stalledMs: 0,
  status: 200,
  error: null,
  ...change,
})
const visit = (change: Partial<Visit> = {}): Visit => ({
  what: 'participants',
  slot: 0,
  at: 1_000,
  ms: 20,
  stalledMs: 0,
  status: 200,
  error: null,
  ...change,
})
const refresh = (change: Partial<TokenCall> = {}): TokenCall => ({
  grant: 'refresh_token',
  fingerprint: 'one',
  from: 1_000,
  to: 1_010,
  processed: true,
  answer: 'tokens',
  ...change,
})
const end = (change: Partial<End> = {}): End => ({
  slot: 0,
  told: 'SIGTERM',
  code: 0,
  signal: null,
  ms: 100,
  at: 9_000,
  ...change,
})
const row = (change = {}) => ({
  id: 1,
  envelope: 'evt_1',
  type: 'application.approved',
  state: 'done',
  error: null,
  hasBody: true,
  ...change,
})
const run = (change = {}) => ({ inbox: 1, from: 1_100, to: 1_110, ok: true, ...change })

/** A run in which everything went as it must. */
const GOOD: Sighting = {
  spans: [{ slot: 0, from: 500, to: 9_000 }],
  ends: [end(), end({ told: 'SIGKILL', code: null, signal: 'SIGKILL' })],
  hooks: [
    hook(),
    hook({ kind: 'duplicate' }),
    hook({ kind: 'stale', envelope: 'evt_2', status: 401, error: 'invalid_signature' }),
    hook({ envelope: 'evt_3', status: 503, error: 'storage_unavailable' }),
    hook({ envelope: 'evt_4', type: 'chaos.unknown', person: null }),
  ],
  visits: [
    visit(),
    visit({ what: 'callback', state: 's' }),
    visit({ status: 504, error: 'upstream_timeout' }),
  ],
  tokenCalls: [refresh(), refresh({ grant: 'authorization_code', fingerprint: 'code' })],
  endings: [],
  inFlight: [{ slot: 0, most: 5 }],
  foreign: [],
  overLimit: 0,
  toldGone: [],
  leaks: [],
  rows: [
    row(),
    row({ id: 2, state: 'duplicate', hasBody: false }),
    row({ id: 3, envelope: 'evt_4', type: 'chaos.unknown', state: 'ignored' }),
  ],
  clock: [{ from: 0, aheadMs: 0 }],
  tries: [{ inbox: 1, outcome: 'done' }],
  runs: [run()],
  people: ['ptp_1'],
  unrecovered: [],
  commands: [{ args: 'replay 1', code: 1, printed: 'Delivery 1 is done: only dead ones can run again.' }],
}

const rulesBrokenBy = (change: Partial<Sighting>) => [
  ...new Set(judge({ ...GOOD, ...change }).map(({ rule }) => rule)),
]

/** Each rule with what must be seen by it, and by no other. */
const BROKEN: Record<RuleName, Partial<Sighting>[]> = {
  'every acknowledged delivery is stored': [
    { hooks: [hook({ envelope: 'evt_lost' })] },
    { hooks: [hook({ kind: 'replay', envelope: 'evt_lost' })] },
    {
      hooks: [...GOOD.hooks, hook({ envelope: 'evt_5' })],
      rows: [...GOOD.rows, row({ id: 5, envelope: 'evt_5', state: 'duplicate' })],
    },
  ],
  'every acknowledged delivery reaches its end': ['pending', 'running', 'parked', 'dead', 'ignored'].map(
    state => ({
      rows: [row({ state }), ...GOOD.rows.slice(1)],
    }),
  ),
  'the handler of every acknowledged delivery ran': [
    { runs: [] },
    { runs: [run({ ok: false })] },
    { people: [] },
  ],
  'an envelope is handled once, unless a crash interrupts it': [
    { runs: [run(), run({ from: 2_000, to: 2_010 })] },
    { tries: [...GOOD.tries, ...GOOD.tries] },
    { rows: [...GOOD.rows, row({ id: 4 })] },
  ],
  'no handler runs twice at the same time for one delivery': [
    { runs: [run(), run({ from: 1_105, to: 1_120, ok: false })] },
  ],
  'nothing forged, altered, stale or unsigned is taken': [
    ...(['stale', 'future', 'tampered', 'unsigned', 'wrong_secret'] as const).map(kind => ({
      hooks: [...GOOD.hooks, hook({ kind, envelope: 'evt_x' })],
    })),
    {
      hooks: [...GOOD.hooks, hook({ kind: 'stale', envelope: 'evt_x', status: null, at: 9_500 })],
      rows: [...GOOD.rows, row({ id: 9, envelope: 'evt_x' })],
    },
  ],
  'no clock, however wrong, removes what was taken within the run': [
    { rows: [row({ hasBody: false }), ...GOOD.rows.slice(1)] },
  ],
  'what is honest is taken, or told to come again': [
    { hooks: [...GOOD.hooks, hook({ envelope: 'evt_x', status: 401, error: 'invalid_signature' })] },
  ],
  'a refresh token is presented again only where nothing definite was said': [
    { tokenCalls: [refresh(), refresh({ from: 2_000, to: 2_010 })] },
    { tokenCalls: [refresh({ answer: 'rejected' }), refresh({ from: 2_000, to: 2_010 })] },
    { tokenCalls: [refresh({ answer: 'lost' }), refresh({ from: 4_000, to: 4_010 })] },
  ],
  'a refresh token is presented at most ten times in five minutes': [
    {
      tokenCalls: Array.from({ length: 11 }, (_, n) =>
        refresh({ from: n * 20_000, to: n * 20_000 + 10, answer: 'refused' }),
      ),
    },
  ],
  'a connection ends only on invalid_grant': [
    { endings: [{ at: 1_020, reason: 'refresh_interrupted' }] },
    {
      endings: [{ at: 900, reason: 'invalid_grant' }],
      tokenCalls: [refresh({ answer: 'rejected' })],
    },
  ],
  'a refresh token is never under way twice at once': [
    { tokenCalls: [refresh({ answer: 'lost', to: 9_000 }), refresh({ from: 8_000, to: 9_000 })] },
  ],
  'an authorization code is sent once': [
    {
      tokenCalls: [1, 2].map(n => refresh({ grant: 'authorization_code', answer: 'lost', from: n * 1_000 })),
    },
  ],
  'a flow ends once': [{ visits: [1, 2].map(() => visit({ what: 'callback', state: 's' })) }],
  'no more than 5 API calls of a token are in flight': [{ inFlight: [{ slot: 1, most: 6 }] }],
  'a webhook is answered within 10 s, a page within 30 s': [
    { hooks: [...GOOD.hooks, hook({ ms: 10_001 })] },
    { hooks: [...GOOD.hooks, hook({ envelope: 'evt_x', ms: 10_001, status: 503 })] },
    { visits: [visit({ ms: 30_001 })] },
  ],
  'whoever asks a process that is up gets an answer': [
    { hooks: [...GOOD.hooks, hook({ envelope: 'evt_x', status: null })] },
    { visits: [visit({ status: null })] },
    { visits: [visit({ status: null, ms: 30_000 })], spans: [{ slot: 0, from: 0, to: 99_000 }] },
  ],
  'an error is one of the documented ones': [
    { visits: [visit({ status: 500, error: 'internal_error' })] },
    { visits: [visit({ status: 400, error: 'no_such_code' })] },
    { visits: [visit({ status: 501 })] },
  ],
  'nothing is sent to a foreign host': [{ foreign: ['POST /elsewhere'] }],
  'no secret, code, signature or payload is in a log, and no secret in an answer': [
    { leaks: [{ name: 'a state', encoding: 'hex', place: 'app0.log' }] },
  ],
  'a process ends only when it is told to, in time and with 0': [
    { ends: [end({ told: null, code: 1 })] },
    { ends: [end({ told: null, code: 0 })] },
    { ends: [end({ code: 1 })] },
    { ends: [end({ code: null, signal: 'SIGABRT' })] },
    { ends: [end({ ms: 10_001 })] },
  ],
  'no more calls are sent than Revento allows': [{ overLimit: 1 }],
  'nobody is told to have gone who is there': [{ toldGone: ['ptp_001'] }],
  'once every fault is over everything works again': [{ unrecovered: ['the list was answered 502'] }],
  "the operator's command says what is the matter": [
    { commands: [{ args: 'replay 1', code: null, printed: '' }] },
    { commands: [{ args: 'replay 1', code: 1, printed: 'Error: x\n    at replay (deliveries.ts:1:1)' }] },
  ],
}

describe('the rules', () => {
  test('find nothing where everything went well', () => {
    expect(judge(GOOD)).toEqual([])
  })

  const cases = Object.entries(BROKEN).flatMap(([rule, changes]) => changes.map(change => ({ rule, change })))
  test.each(cases)('$rule: $change', ({ rule, change }) => {
    expect(rulesBrokenBy(change)).toEqual([rule])
  })
})

describe('what the rules allow', () => {
  const allowed: Record<string, Partial<Sighting>> = {
    'the next request five seconds after a lost answer, and the end that Revento says': {
      tokenCalls: [
        refresh({ answer: 'lost' }),
        refresh({ from: 7_000, to: 7_010, answer: 'lost' }),
        refresh({ from: 68_000, to: 68_010, answer: 'rejected' }),
      ],
      endings: [{ at: 68_020, reason: 'refresh_interrupted' }],
    },
    'one recovery after a crash, whatever was answered': {
      spans: [{ slot: 0, from: 500, to: 1_500 }],
      tokenCalls: [refresh(), refresh({ from: 4_000, to: 4_010, answer: 'rejected' })],
    },
    'as many as are refused with a 5xx': {
      tokenCalls: [1, 2, 3, 4].map(n => refresh({ from: n * 1_000, to: n * 1_000 + 5, answer: 'refused' })),
    },
    'a second run after an interrupted one': {
      runs: [run(), run({ from: 40_000, to: 40_010 })],
      tries: [...GOOD.tries, { inbox: 1, outcome: 'interrupted' }],
    },
    'a late answer of a machine that had no time for it': {
      hooks: [...GOOD.hooks, hook({ ms: 12_000, stalledMs: 9_000 })],
    },
    'no answer of a process that was killed meanwhile': {
      hooks: [...GOOD.hooks, hook({ envelope: 'evt_x', status: null, at: 8_990, ms: 20 })],
    },
    'a repeat that the clock has made stale, and one whose clock is set while it is under way': {
      clock: [
        { from: 0, aheadMs: 0 },
        { from: 1_010, aheadMs: 3_600_000 },
      ],
      hooks: [
        ...GOOD.hooks,
        hook({ kind: 'duplicate', at: 2_000, status: 401, error: 'invalid_signature' }),
        hook({ envelope: 'evt_x', status: 401, error: 'invalid_signature' }),
      ],
    },
    'an altered one of the sandbox, which comes again as it was': {
      hooks: [...GOOD.hooks, hook({ kind: 'tampered', slot: -1, status: 401 })],
    },
  }
  test.each(Object.entries(allowed))('the rules allow this: %s', (_name, change) => {
    expect(judge({ ...GOOD, ...change })).toEqual([])
  })
})

describe('the search for secrets', () => {
  const secret = 'token-or-key-0123'
  const places = (text: string) => ({
    'app0.log': Buffer.from(`{"msg":"x ${text} y"}\n`),
    'an answer': Buffer.alloc(0),
  })

  test.each(['utf8', 'base64', 'base64url', 'hex'] as const)('finds one as %s', encoding => {
    const leaks = leaksIn(new Map([[secret, 'a token']]), places(Buffer.from(secret).toString(encoding)))
    expect(leaks.map(({ name, place }) => [name, place])).toContainEqual(['a token', 'app0.log'])
  })

  test('finds nothing where there is nothing', () => {
    expect(leaksIn(new Map([[secret, 'a token']]), places('token-or-key'))).toEqual([])
  })
})
