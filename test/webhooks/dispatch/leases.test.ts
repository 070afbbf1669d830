import { expect, test } from 'vitest'
import { until } from '../../helpers/wait.ts'
import { type Bench, bench } from './dispatching.ts'

const [HOUR, DAY] = [3_600_000, 86_400_000]
const JUMPS = [HOUR, -HOUR, 31 * DAY, -730 * DAY]
const LEASE_MS = 30_000

/** Two dispatchers on one store, each with a wall clock that can be set, after a minute of steady running. */
async function twoDispatchers() {
  const b = await bench()
  const set = { one: 0, two: 0 }
  const runs: number[] = []
  const gates: (() => void)[] = []
  const run = async ({ id }: { id: number }) => {
    runs.push(id)
    await new Promise<void>(resolve => gates.push(resolve))
  }
  for (const name of ['one', 'two'] as const)
    b.dispatcher({ run }, { ...b.clock, now: () => b.clock.now() + set[name] })
  for (let quarter = 0; quarter < 4; quarter++) await looks(b, 1, 15_000)
  return { ...b, set, runs, open: () => void gates.splice(0).map(end => end()) }
}

/** Lets both look this many times, each time `ms` later. */
async function looks(b: Bench, count: number, ms = 1_000) {
  for (let n = 0; n < count; n++) {
    await until(() => b.clock.sleepers().filter(ms => ms === 1_000).length === 2)
    b.clock.advance(ms)
  }
}

test.for([...JUMPS.map(by => [by, 'both'] as const), [-HOUR, 'one'] as const, [31 * DAY, 'two'] as const])(
  'set by %d ms on %s of two: what runs is not run again',
  async ([by, where]) => {
    const b = await twoDispatchers()
    const id = await b.append()
    await until(() => b.runs.length === 1)
    for (const name of ['one', 'two'] as const) if (where === 'both' || where === name) b.set[name] = by
    await looks(b, 9, 2_000)
    expect(b.runs).toEqual([id])
    b.open()
    expect(await b.reaches(id, 'done')).toMatchObject({ attempts: 1, crashes: 0 })
    await looks(b, 6, LEASE_MS / 6)
    expect(b.runs).toEqual([id])
  },
)

test.for(JUMPS)('set by %d ms, a lease of a process that died ends after its own length', async by => {
  const b = await twoDispatchers()
  const id = await b.append()
  await until(() => b.runs.length === 1)
  const { query } = b.database
  // The delivery is left as if another process had claimed it and died.
  const died = {
    state: 'running',
    lease_owner: 'gone',
    attempts: 1,
    next_at: b.clock.now() + LEASE_MS,
  } as const
  b.open()
  await b.reaches(id, 'done')
  await query.updateTable('outcomes').set(died).where('id', '=', id).execute()
  b.set.one = by
  b.set.two = by
  // The first look, which meets the jump, is when the length begins.
  await looks(b, 1)
  await looks(b, 4, LEASE_MS / 4 - 500)
  expect(b.runs).toEqual([id])
  await looks(b, 3)
  await until(() => b.runs.length === 2)
  b.open()
  expect(await b.reaches(id, 'done')).toMatchObject({ attempts: 2, crashes: 1 })
})
