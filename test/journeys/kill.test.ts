import { expect, test } from 'vitest'
import { testFolder } from '../helpers/folder.ts'
import { crashRounds } from '../lab/bench/crash-rounds.ts'

/** Several rounds, and orderly stops: test/lab/kill.test.ts. */
test('a kill under load loses nothing that was answered 200, and all of it is handled', async () => {
  const result = await crashRounds({ folder: testFolder(), rounds: 1, hurry: true })
  expect(result).toMatchObject({ lost: 0, unhandled: 0, handledTwice: 0 })
  expect(result.acknowledged).toBeGreaterThan(20)
}, 60_000)
