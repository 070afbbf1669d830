import fc from 'fast-check'
import { expect, test } from 'vitest'
import { rounds } from '../helpers/rounds.ts'
import { type Step, violationsOf } from './schedules.ts'

const webhook = fc.constantFrom('told', 'late', 'lost', 'lost')
const where = fc.nat(200)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ what: fc.constant('add'), where, webhook }) },
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constant('remove'), where, many: fc.constantFrom(1, 1, 2, 30) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ what: fc.constant('edit'), where, webhook },
      status: fc.constantFrom('approved', 'rejected', 'revision_requested'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('fail'),
      how: fc.constantFrom('limited', 'broken', 'cursor_refused', 'killed', 'taken_over'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('jump'),
      ms: fc.constantFrom(3_600_000, -3_600_000, 86_400_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('nothing') }) },
)

const TIMEOUT = 600_000

test('whatever happens while it is read: one run after it all the copy is the list, and no handler was told a falsehood', {
  timeout: TIMEOUT,
}, async () => {
  const schedule = fc.array(step, { maxLength: 24 })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 170 }), schedule, async (count, steps) => {
      expect(await violationsOf(count, steps)).toEqual([])
    }),
    { numRuns: rounds(4) },
  )
})

test('whom page borders hide in two passes has not left', async () => {
  const gone = (many = 1) => ({ what: 'remove', where: 0, many }) as const
  const steps: Step[] = [
    { what: 'remove', where: 104, many: 30 },
    { what: 'edit', where: 0, webhook: 'told', status: 'approved' },
    { what: 'add', where: 0, webhook: 'told' },
    ...[gone(2), gone(), gone()],
  ]
  expect(await violationsOf(54, steps)).toEqual([])
})
