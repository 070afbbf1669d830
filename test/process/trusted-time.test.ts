import { expect, test } from 'vitest'
import {
  BELIEVED_AFTER_MS,
  createSteadyClock,
  isOlderThan,
  isPlausible,
  waitLeft,
} from '../../src/process/trusted-time.ts'

const NOW = Date.parse('2026-05-09T12:00:00Z')
const [HOUR, DAY, YEAR] = [3_600_000, 86_400_000, 365 * 86_400_000]
const JUMPS = [HOUR, -HOUR, 31 * DAY, -31 * DAY, 2 * YEAR, -2 * YEAR]

test('a moment in the future is of unknown age: implausible, and never old', () => {
  expect([isPlausible(NOW, NOW), isPlausible(NOW + 60_000, NOW)]).toEqual([true, true])
  expect([isPlausible(NOW + 60_001, NOW), isPlausible(NOW + 31 * DAY, NOW)]).toEqual([false, false])
  expect([isOlderThan(NOW - DAY - 1, DAY, NOW), isOlderThan(NOW - DAY, DAY, NOW)]).toEqual([true, false])
  expect([isOlderThan(NOW + 1, 0, NOW), isOlderThan(NOW + YEAR, -2 * YEAR, NOW)]).toEqual([false, false])
})

test.each([
  ['as noted', { since: NOW - 1_000, until: NOW + 3_000 }, 3_000],
  ['over', { since: NOW - 5_000, until: NOW - 1_000 }, 0],
  [
    'noted a little ahead, by another machine: no longer than it was',
    { since: NOW + 9_000, until: NOW + 13_000 },
    4_000,
  ],
  ['noted before the clock was set back an hour', { since: NOW + HOUR, until: NOW + HOUR + 4_000 }, 0],
  ['longer than any may be', { since: NOW, until: NOW + YEAR }, HOUR],
])('what is left of a wait: %s', (_, wait, expected) => {
  expect(waitLeft(wait, NOW, HOUR)).toBe(expected)
})

/** Wall and monotonic clock, moved together and apart. */
function clocks() {
  let [wall, monotonic] = [NOW, 0.25]
  const jump = (ms: number) => {
    wall += ms
  }
  const pass = (ms: number) => {
    jump(ms)
    monotonic += ms
  }
  return { now: () => wall, monotonic: () => monotonic, jump, pass }
}

test('after a start nothing is old until the clock has run for an hour', () => {
  const runtime = clocks()
  const clock = createSteadyClock(runtime)
  expect(clock.oldBefore(DAY)).toBeUndefined()
  runtime.pass(BELIEVED_AFTER_MS - 1)
  expect(clock.oldBefore(DAY)).toBeUndefined()
  runtime.pass(1)
  expect(clock.oldBefore(DAY)).toBe(runtime.now() - DAY)
  expect(clock.oldBefore(-1)).toBe(runtime.now())
})

test.each(JUMPS)('a jump of %d ms is told once, and changes nothing until it has stood for an hour', by => {
  const runtime = clocks()
  const jumps: number[] = []
  const clock = createSteadyClock(runtime, ms => void jumps.push(ms))
  runtime.pass(2 * HOUR)
  const before = clock.now()
  runtime.jump(by)
  runtime.pass(1_000)
  expect([clock.now(), clock.oldBefore(0), clock.steadyMs()]).toEqual([before + 1_000, undefined, 0])
  runtime.pass(HOUR - 1)
  expect([clock.now(), clock.oldBefore(0)]).toEqual([before + HOUR + 999, undefined])
  runtime.pass(1)
  expect([clock.now(), clock.oldBefore(0)]).toEqual([runtime.now(), runtime.now()])
  expect(jumps).toEqual([by])
})

test.each(JUMPS)('a jump of %d ms that is set right leaves no trace but the wait', by => {
  const runtime = clocks()
  const clock = createSteadyClock(runtime)
  runtime.pass(2 * HOUR)
  const before = clock.now()
  runtime.jump(by)
  runtime.pass(HOUR / 2)
  expect(clock.now()).toBe(before + HOUR / 2)
  runtime.jump(-by)
  runtime.pass(HOUR / 2)
  expect([clock.now(), clock.now()]).toEqual([runtime.now(), before + HOUR])
  expect([clock.steadyMs(), clock.oldBefore(0)]).toEqual([0, undefined])
  runtime.pass(HOUR)
  expect(clock.oldBefore(0)).toBe(runtime.now())
})

test('a clock that is adjusted little by little is followed', () => {
  const runtime = clocks()
  const clock = createSteadyClock(runtime)
  for (let hour = 0; hour < 100; hour++) {
    runtime.pass(HOUR)
    runtime.jump(3_000)
    expect(clock.now()).toBe(runtime.now())
  }
  expect(clock.steadyMs()).toBe(100 * HOUR)
})

test('a lease has ended when its end is past, or beyond any; of a clock that is new, only the last minute counts', () => {
  const runtime = clocks()
  const clock = createSteadyClock(runtime)
  const from = [-HOUR, -59_999, 0, 1, 30_000, HOUR]
  const ended = () => {
    const { after, now, latest } = clock.leaseEnds(30_000)
    return from.filter(ms => (now + ms > after && ms <= 0) || now + ms > latest)
  }
  expect(ended()).toEqual([-59_999, 0])
  runtime.pass(30_000)
  expect(ended()).toEqual([-HOUR, -59_999, 0, HOUR])
  runtime.jump(45_000)
  expect(ended()).toEqual([])
  runtime.pass(30_000)
  expect(ended()).toEqual([-HOUR, -59_999, 0, HOUR])
})
