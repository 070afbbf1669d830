import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { Database } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { type NewStore, newStore } from '../helpers/database.ts'
import { rounds } from '../helpers/rounds.ts'
import { type Command, FAULTS, type Fault, runModel } from './refresh-model.ts'

const RUNS = rounds(40)
let made: NewStore
let database: Database
beforeAll(async () => {
  made = await newStore()
  database = await openDatabase(made.store, systemRuntime)
})
afterAll(async () => {
  await database.close()
  await made.drop()
})

const JUMPS = [60_000, 3_600_000, 31 * 86_400_000, 2 * 365 * 86_400_000].flatMap(ms => [ms, -ms])
const use = fc.record({ do: fc.constant('use' as const), process: fc.nat(2) })
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: use },
  { weight: 3, arbitrary: fc.constant({ do: 'expire' as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('revoke', 'reject', 'consent') }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(60_000) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('jump' as const), ms: fc.constantFrom(...JUMPS) }) },
)

/** A drawn round of forty has none of these in one of eight. */
const LOST_ANSWERS = (['installation', 'user'] as const).map(
  kind =>
    [[{ do: 'expire' }, { do: 'use', process: 0 }], ['lost after'], kind] as [
      Command[],
      Fault[],
      typeof kind,
    ],
)

/**
 * Whatever faults, kills, pauses and jumps of the clock meet: no connection ends for renewal unless `invalid_grant` was heard; a refresh token is
 * presented again only after a request that is unaccounted for, and when that one is surely over; at most ten times in
 * five minutes; an access token is used only after its pair was committed; nothing is asked of the token endpoint after a
 * connection ended, nor of the API after token_revoked; and a new consent heals everything. So for sign-ins, too.
 */
test('every interleaving of callers, faults and consents keeps the rules', { timeout: 600_000 }, async () => {
  let n = 0
  const seen = { consumed: 0, repeats: 0 }
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 1, maxLength: 14 }),
      fc.array(fc.constantFrom(...FAULTS), { maxLength: 6 }),
      fc.constantFrom('installation', 'user'),
      async (commands, faults, kind) => {
        const eventId = `evt_${++n}`
        const { consumed, repeats } = await runModel(database.query, eventId, commands, [...faults], kind)
        seen.consumed += consumed
        seen.repeats += repeats
      },
    ),
    { numRuns: RUNS, examples: [...LOST_ANSWERS] },
  )
  // The runs did reach what they are about: refreshes, and recoveries of lost answers.
  expect(seen.consumed).toBeGreaterThan(RUNS)
  expect(seen.repeats).toBeGreaterThanOrEqual(LOST_ANSWERS.length)
})
