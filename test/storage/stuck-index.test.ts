import { expect, test } from 'vitest'
import { testFile } from '../helpers/database.ts'

test('what waits for a person is found by an index of its own', async () => {
  const database = await testFile()
  const plan = await database.exclusively(file =>
    file
      .prepare(
        "explain query plan select id from inbox where event_id = ? and state = 'dead' order by id desc",
      )
      .all('evt_1'),
  )
  expect(JSON.stringify(plan)).toContain('inbox_stuck')
})
