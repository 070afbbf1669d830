import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createEventData, type ParticipantChange } from '../../src/storage/event-data.ts'
import type { ParticipantRecord } from '../../src/storage/schema.ts'
import { testDatabase } from '../helpers/database.ts'
import { rounds } from '../helpers/rounds.ts'

const at = (second: number) => new Date(Date.UTC(2026, 4, 9, 14, 0, second)).toISOString()

/** Returns the columns that do not depend on when the event came. */
const facts = (rows: readonly ParticipantRecord[]) =>
  rows.map(({ name, name_at, application_status, status_at, last_type, occurred_at }) => ({
    ...{ name, name_at, application_status, status_at },
    ...{ last_type, occurred_at },
  }))

async function stage() {
  const { query } = await testDatabase()
  const data = createEventData(query, { now: () => 1 }, 'real')
  let told = 0
  return async (changes: readonly ParticipantChange[]) => {
    const eventId = `evt_${++told}`
    const event = { eventId, organizationId: 'org_1' }
    for (const [n, change] of changes.entries()) await data.saveParticipant({ id: n + 1, ...event }, change)
    return facts(await data.participants(event))
  }
}

const permutations = <T>(list: readonly T[]): T[][] =>
  list.length === 0
    ? [[]]
    : list.flatMap((one, n) => permutations(list.toSpliced(n, 1)).map(rest => [one, ...rest]))

test('a name and a status that came from different events are each the latest, in whatever order they came', async () => {
  const stored = await stage()
  const id = { participantId: 'ptp_1' }
  const changes = [
    { ...id, type: 'application.approved', applicationStatus: 'approved', occurredAt: at(60) },
    { ...id, type: 'application.submitted', applicationStatus: 'pending', name: 'A', occurredAt: at(0) },
    { ...id, type: 'participant.profile_updated', name: 'B', occurredAt: at(30) },
  ]
  for (const order of permutations(changes))
    expect(await stored(order)).toEqual([
      {
        ...{ name: 'B', name_at: at(30), application_status: 'approved', status_at: at(60) },
        ...{ last_type: 'application.approved', occurred_at: at(60) },
      },
    ])
})

test('an event without a date is older than all that have one', async () => {
  const stored = await stage()
  const id = { participantId: 'ptp_1', type: 't' }
  for (const occurredAt of ['', 'yesterday', '9999', 'zzz', '2026-13-40T99:00:00Z']) {
    const changes = [
      { ...id, name: 'not dated', occurredAt },
      { ...id, name: 'dated', occurredAt: at(0) },
    ]
    for (const order of permutations(changes)) expect(await stored(order)).toMatchObject([{ name: 'dated' }])
  }
})

test('moments are compared as such, however they are spelled', async () => {
  const stored = await stage()
  const id = { participantId: 'ptp_1', type: 't' }
  const later = [at(0), '2026-05-09T14:00Z', '2026-05-09T14:00:00.0005', '2026-05-09T12:00:00-0200']
  for (const [n, occurredAt] of later.entries()) {
    const changes = [
      { ...id, name: 'earlier', occurredAt: '2026-05-09T15:59:59.999+02:00' },
      { ...id, name: `later ${n}`, occurredAt },
    ]
    for (const order of permutations(changes))
      expect(await stored(order)).toMatchObject([{ name: `later ${n}`, name_at: at(0) }])
  }
})

test('every order of the same events gives the same row, also where they are of one moment', async () => {
  const stored = await stage()
  const change: fc.Arbitrary<ParticipantChange> = fc.record(
    {
      participantId: fc.constantFrom('ptp_1', 'ptp_2'),
      name: fc.constantFrom('Ada', 'ada', 'Äda', 'Grace', '🎲'),
      applicationStatus: fc.constantFrom('pending', 'approved', 'rejected'),
      type: fc.constantFrom('a', 'b', 'c'),
      occurredAt: fc.constantFrom(at(0), at(1), at(2), '2026-05-09T16:00:01+02:00', 'none'),
    },
    { requiredKeys: ['participantId', 'type', 'occurredAt'] },
  )
  const sorted = async (changes: readonly ParticipantChange[]) =>
    (await stored(changes)).map(row => JSON.stringify(row)).toSorted()
  await fc.assert(
    fc.asyncProperty(
      fc
        .array(change, { minLength: 2, maxLength: 6 })
        .chain(list => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
      async ([list, shuffled]) => {
        expect(await sorted(shuffled)).toEqual(await sorted(list))
      },
    ),
    { numRuns: rounds(20) },
  )
})
