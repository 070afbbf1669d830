import { expect, test } from 'vitest'
import { DRAWS } from './draws.ts'
import { createRandom } from './random.ts'
import { scheduleOf, stepText } from './schedule.ts'

const options = { seed: '7', run: 3, actions: 6, store: 'sqlite' } as const

test('the same seed draws the same for ever', () => {
  const random = createRandom('7 3')
  expect(Array.from({ length: 5 }, () => random.below(1_000_000))).toEqual([
    482_275, 328_256, 876_919, 375_235, 52_459,
  ])
})

test('the same seed and run give the same schedule, and others another', () => {
  const text = (o: { run?: number; seed?: string }) =>
    scheduleOf({ ...options, ...o })
      .map(stepText)
      .join('\n')
  expect(text({})).toBe(text({}))
  expect(text({ run: 4 })).not.toBe(text({}))
  expect(text({ seed: '8' })).not.toBe(text({}))
})

test('every action is drawn, each as often as its weight says, within a factor of two', () => {
  const steps = scheduleOf({ ...options, actions: 4_000, store: 'postgres' })
  const weights = Object.values(DRAWS).reduce((sum, { weight }) => sum + weight, 0)
  for (const [name, { weight }] of Object.entries(DRAWS)) {
    const share = steps.filter(({ action }) => action === name).length / steps.length
    expect([name, share > weight / weights / 2, share < (2 * weight) / weights]).toEqual([name, true, true])
  }
})

test('SQLite has no server to crash', () => {
  const steps = scheduleOf({ ...options, actions: 2_000 })
  expect(steps.filter(({ action }) => action === 'crash_database')).toEqual([])
})
