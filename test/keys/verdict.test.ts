import { describe, expect, test } from 'vitest'
import { changeText, describeChange, judge, type KeyState } from '../../src/keys/verdict.ts'

const DAY = 24 * 3_600_000
const NOW = Date.parse('2026-05-09T12:00:00Z')
const ago = (ms: number) => NOW - ms
const use = (since: number, lastUsedAt = 0) => ({ since, lastUsedAt })

describe('a secret before the last change', () => {
  const verdict = (previous: ReturnType<typeof use>, current: ReturnType<typeof use>) =>
    judge({ previous, current, left: undefined }, DAY, NOW, true)
  const began = ago(9 * DAY)

  test.each([
    ['neither was used', use(began), use(began), 'new_unused'],
    ['only the old one was', use(began, ago(5 * DAY)), use(began), 'new_unused'],
    ['both are used', use(began, ago(60_000)), use(began, ago(1000)), 'in_use'],
    ['a day without it, less a second', use(began, ago(DAY)), use(began, ago(1000)), 'in_use'],
    ['a day without it', use(began, ago(DAY + 1001)), use(began, ago(1000)), 'removable'],
    [
      'silence of both since the change',
      use(began, ago(5 * DAY)),
      use(began, ago(5 * DAY - 60_000)),
      'in_use',
    ],
    [
      'the new one is older news than the old one',
      use(began, ago(2 * DAY)),
      use(began, ago(3 * DAY)),
      'in_use',
    ],
    ['never used, counted for a day', use(ago(2 * DAY)), use(ago(2 * DAY), ago(DAY - 1)), 'removable'],
    ['never used, counted for an hour', use(ago(3_600_000)), use(began, ago(1000)), 'in_use'],
    ['the new one was accepted an hour ago', use(began, ago(5 * DAY)), use(ago(3_600_000), NOW), 'in_use'],
    ['used under a clock that was ahead', use(began, NOW + DAY), use(began, NOW), 'in_use'],
    [
      'the new one was, under a clock that was ahead',
      use(began, ago(DAY)),
      use(began, NOW + 31 * DAY),
      'in_use',
    ],
  ])('%s: %o then %o is %s', (_name, previous, current, expected) => {
    expect(verdict(previous, current)).toBe(expected)
  })

  test('a secret of which nothing is known has to stay', () => {
    expect(judge({ previous: undefined, current: use(began, NOW), left: undefined }, DAY, NOW, true)).toBe(
      'unknown',
    )
    expect(judge({ previous: use(began), current: undefined, left: undefined }, DAY, NOW, true)).toBe(
      'unknown',
    )
  })
})

test.each([
  ['values are left', 1, ago(DAY), ago(DAY), 'values_left'],
  ['none is left, and it was used a moment ago', 0, ago(60_000), ago(DAY), 'in_use'],
  ['none is left, and the change was a moment ago', 0, 0, ago(60_000), 'in_use'],
  ['none is left, and nobody has used it for five minutes', 0, ago(300_001), ago(DAY), 'removable'],
])('a sealing key: %s', (_name, left, lastUsedAt, changedAt, expected) => {
  const [previous, current] = [use(ago(9 * DAY), lastUsedAt), use(changedAt, NOW)]
  expect(judge({ previous, current, left }, undefined, NOW, true)).toBe(expected)
})

test('no key can go by a clock that is not believed', () => {
  const [previous, current] = [use(ago(9 * DAY), ago(2 * DAY)), use(ago(9 * DAY), NOW)]
  expect(judge({ previous, current, left: undefined }, DAY, NOW, false)).toBe('clock_new')
  expect(judge({ previous, current, left: 0 }, undefined, NOW, false)).toBe('clock_new')
  expect(judge({ previous, current, left: 1 }, undefined, NOW, false)).toBe('values_left')
})

test('a verdict names the variable and the moment, and says what to do', () => {
  const state = (change: Partial<KeyState>): KeyState => ({
    variable: 'BARKER_WEBHOOK_SECRET',
    current: use(1),
    previous: use(ago(DAY), ago(DAY)),
    left: undefined,
    verdict: 'in_use',
    ...change,
  })
  expect(changeText(state({}))).toBe(
    'BARKER_WEBHOOK_SECRET: the previous one was last used 2026-05-08T12:00:00.000Z. Keep it until the new one has been in use for a day without it.',
  )
  const sealing = { variable: 'ENCRYPTION_KEY', left: 2 }
  for (const [change, text] of [
    [{ verdict: 'removable' }, 'delete BARKER_WEBHOOK_SECRET_PREVIOUS and restart'],
    [{ verdict: 'new_unused' }, 'Nothing has come with the new one yet: keep the previous one'],
    [{ variable: 'WEBHOOK_VERIFY_TOKEN' }, 'for two days without it'],
    [{ ...sealing, verdict: 'values_left' }, '2 values are left under it: keep it, and run npm run reseal.'],
    [{ ...sealing, left: 1, verdict: 'values_left' }, '1 value is left under it'],
    [{ verdict: 'clock_new' }, 'without it. Keep it until the clock has run steadily for an hour.'],
    [{ ...sealing, left: 0, verdict: 'in_use' }, 'Keep it five minutes longer'],
    [
      { ...sealing, left: 0, verdict: 'removable' },
      'delete ENCRYPTION_KEY_PREVIOUS and restart. Older backups',
    ],
  ] as const)
    expect(describeChange(state(change)).after).toContain(text)
  expect(changeText(state({ previous: use(ago(DAY)) }))).toContain(
    'not been used since counting began 2026-05-08T',
  )
  expect(changeText(state({ verdict: 'unknown', previous: undefined }))).toContain('nothing is known')
})
