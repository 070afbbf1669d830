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
  await seconds(b, 60)
  return { ...b, set, runs, open: () => void gates.splice(0).map(end => end()) }
}

/** Both look once a second. */
async function seconds(b: Bench, count: number) {
  for (let n = 0; n < count; n++) {
    await until(() => b.clock.sleepers().filter(ms => ms === 1_000).length === 2)
    b.clock.advance(1_000)
  }
}

test.for([...JUMPS.map(by => [by, 'both'] as const), [-HOUR, 'one'] as const, [31 * DAY, 'two'] as const])(
  'set by %d ms on %s of two: what runs is not run again',
  async ([by, where]) => {
    const b = await twoDispatchers()
    const id = await b.append()
    await until(() => b.runs.length === 1)
    for (const name of ['one', 'two'] as const) if (where === 'both' || where === name) b.set[name] = by
    await seconds(b, 18)
    expect(b.runs).toEqual([id])
    b.open()
    expect(await b.reaches(id, 'done')).toMatchObject({ attempts: 1, crashes: 0 })
    await seconds(b, LEASE_MS / 1_000)
    expect(b.runs).toEqual([id])
  },
)

test.for(JUMPS)('set by %d ms, a lease of a process that died ends after its own length', async by => {
  const b = await twoDispatchers()
  const id = await b.append()
  await until(() => b.runs.length === 1)
  const { query } = b.database
  // As if another process had claimed it, and died.
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
  await seconds(b, LEASE_MS / 1_000 - 1)
  expect(b.runs).toEqual([id])
  await seconds(b, 3)
  await until(() => b.runs.length === 2)
  b.open()
  expect(await b.reaches(id, 'done')).toMatchObject({ attempts: 2, crashes: 1 })
})
