import { expect, test } from 'vitest'
import { noMetrics } from '../../src/metrics/metrics.ts'
import { createRollups, quantile, sumOf } from '../../src/operator/rollups.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import { type ManualClock, manualClock } from '../helpers/clock.ts'
import { testDatabase } from '../helpers/database.ts'
import { until } from '../helpers/wait.ts'

const log = { error: () => {} }

async function two() {
  const clock: ManualClock = manualClock()
  const { query } = await testDatabase(clock)
  const make = () => createRollups(query, 'real', { clock: createSteadyClock(clock), log }, clock)
  return { clock, query, one: make(), other: make() }
}

test('counts of several instances add up, minute by minute, stored or not yet', async () => {
  const { clock, one, other } = await two()
  for (const rollups of [one, other, one]) {
    const metrics = rollups.counting(noMetrics)
    metrics.delivery('revento', 'accepted', 0.1)
    metrics.delivery('revento', 'invalid_signature', 0.1)
    metrics.run('revento', 'done', clock.now() - 30)
    metrics.resolved('duplicate', 2)
    metrics.resolved('ignored', 0)
    metrics.apiRequest('200')
    metrics.apiRequest('503')
  }
  await one.flush()
  clock.advance(60_000)
  one.counting(noMetrics).run('revento', 'dead', clock.now())
  await one.flush()
  await other.flush()
  other.counting(noMetrics).run('revento', 'dead', clock.now())
  const slots = await other.read(60, 1)
  expect(slots).toHaveLength(60)
  const seen = { received: 3, refused: 3, done: 3, wait_2: 3, duplicate: 6, api_answered: 3, api_failed: 3 }
  expect(slots.slice(-2).map(slot => slot.counts)).toEqual([seen, { dead: 2 }])
  expect(sumOf(slots, 'done', 'dead')).toBe(5)
  expect((await one.read(96, 15)).at(-1)?.counts).toEqual({ ...seen, dead: 1 })
})

test('counts that could not be stored are stored when they can', async () => {
  const { query, one } = await two()
  one.counting(noMetrics).run('revento', 'done', undefined)
  await query.schema.alterTable('rollups').renameTo('gone').execute()
  await expect(one.flush()).rejects.toThrow()
  await query.schema.alterTable('gone').renameTo('rollups').execute()
  await one.flush()
  await one.flush()
  expect(sumOf(await one.read(60, 1), 'done')).toBe(1)
})

test('counts older than eight days go, once the clock is believed', async () => {
  const { clock, query, one } = await two()
  one.counting(noMetrics).run('revento', 'done', undefined)
  await one.flush()
  const stop = new AbortController()
  const watching = one.watch(stop.signal)
  clock.advance(8 * 24 * 3_600_000 + 120_000)
  await until(async () => (await query.selectFrom('rollups').selectAll().execute()).length === 0)
  stop.abort()
  await watching
})

test('a quantile lies in the class that holds it', () => {
  const slots = [{ at: 0, counts: { wait_0: 50, wait_6: 49, wait_13: 1 } }]
  expect(quantile(slots, 0.5)).toBe(10)
  expect(quantile(slots, 0.99)).toBe(1_000)
  expect(quantile(slots, 0.25)).toBe(5)
  expect(quantile([{ at: 0, counts: { 'wait_-1': 1 } }], 0.5)).toBe(3_600_000)
  expect(quantile([{ at: 0, counts: {} }], 0.5)).toBeUndefined()
})
