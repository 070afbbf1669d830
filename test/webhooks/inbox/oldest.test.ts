import { DatabaseSync } from 'node:sqlite'
import type { CompiledQuery, KyselyPlugin } from 'kysely'
import { expect, test } from 'vitest'
import { oldestWaitMs } from '../../../src/webhooks/inbox/backlog.ts'
import { testDatabase, testFile } from '../../helpers/database.ts'
import { insertDelivery } from '../../helpers/deliveries.ts'

const NOW = 1_000_000

test.each([
  ['nothing is stored', [], 0],
  ['one waits since it came', [{ received_at: NOW - 700 }], 700],
  ['the first that came counts', [{ received_at: NOW - 700 }, { received_at: NOW - 900 }], 700],
  ['a retry that is not due does not wait', [{ received_at: NOW - 700, next_at: NOW + 1 }], 0],
  ['a retry waits since it was due', [{ received_at: NOW - 700, next_at: NOW - 50 }], 50],
  ['the longer one counts', [{ received_at: NOW - 10 }, { received_at: NOW - 700, next_at: NOW - 50 }], 50],
  ['a lease that ran out is due', [{ received_at: 1, next_at: NOW - 5, state: 'running' as const }], 5],
  ['what has ended does not wait', [{ received_at: 1, state: 'done' as const }], 0],
  ['a clock that was set back', [{ received_at: NOW + 500 }], 0],
])('the oldest wait is told: %s', async (_, rows, expected) => {
  const { query } = await testDatabase()
  for (const [i, row] of rows.entries())
    await insertDelivery(query, { envelope_id: `e${i}`, state: 'pending', attempts: 0, ...row })
  expect(await oldestWaitMs(query, NOW)).toBe(expected)
})

test('a million rows that ended cost it nothing: both questions use the index of due rows', async () => {
  const { query, path } = await testFile()
  const statements: CompiledQuery[] = []
  const spy: KyselyPlugin = {
    transformQuery({ node, queryId }) {
      statements.push(query.getExecutor().compileQuery(node, queryId))
      return node
    },
    transformResult: async ({ result }) => result,
  }
  await oldestWaitMs(query.withPlugin(spy), NOW)
  const file = new DatabaseSync(path, { readOnly: true })
  const plans = statements.map(({ sql, parameters }) =>
    file.prepare(`explain query plan ${sql}`).all(...(parameters as number[])),
  )
  file.close()
  const search = { detail: expect.stringMatching(/^SEARCH outcomes USING .*INDEX outcomes_due \(next_at/) }
  expect(plans.map(([first]) => first)).toEqual([search, search].map(one => expect.objectContaining(one)))
})
