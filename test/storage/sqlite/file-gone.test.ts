import { copyFileSync, renameSync, rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type TestFile, testFile } from '../../helpers/database.ts'

const refused = { name: 'StorageError', code: 'database_file_replaced' }
const WAYS = [
  ['deleted', (path: string) => rmSync(path)],
  [
    'replaced by a copy',
    (path: string) => {
      copyFileSync(path, `${path}.copy`)
      renameSync(`${path}.copy`, path)
    },
  ],
  ['moved away', (path: string) => renameSync(path, `${path}.moved`)],
] as const

describe.each(WAYS)('a file that was %s', (_, lose) => {
  const KINDS: [string, (d: TestFile) => Promise<unknown>][] = [
    ['a write', d => d.probe()],
    ['a read', d => d.query.selectFrom('health').selectAll().execute()],
    ['a transaction', d => d.query.transaction().execute(async () => 'done')],
    ['exclusive work', d => d.exclusively(() => 'done')],
  ]
  test.each(KINDS)('%s is refused, each time', async (_kind, work) => {
    const database = await testFile()
    lose(database.path)
    for (let i = 0; i < 3; i++) await expect(work(database)).rejects.toMatchObject(refused)
  })
})

test('a file that comes back is used again', async () => {
  const database = await testFile()
  renameSync(database.path, `${database.path}.moved`)
  await expect(database.probe()).rejects.toMatchObject(refused)
  renameSync(`${database.path}.moved`, database.path)
  await database.probe()
})
