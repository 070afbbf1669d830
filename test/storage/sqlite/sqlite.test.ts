import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { systemRuntime as runtime } from '../../../src/process/runtime.ts'
import { openSqlite } from '../../../src/storage/sqlite/database.ts'
import { SqliteFile } from '../../../src/storage/sqlite/sqlite.ts'
import { testFile } from '../../helpers/database.ts'
import { testFolder } from '../../helpers/folder.ts'

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

test('SQLite commits to a write-ahead log with an fsync each, and checks foreign keys', async () => {
  const { query } = await testFile()
  const pragma = async (name: string) => {
    const { rows } = await sql<Record<string, unknown>>`${sql.raw(`pragma ${name}`)}`.execute(query)
    return Object.values(rows[0] ?? {})[0]
  }
  expect(await pragma('journal_mode')).toBe('wal')
  expect(await pragma('synchronous')).toBe(2)
  expect(await pragma('cache_size')).toBe(-16_000)
  expect(await pragma('foreign_keys')).toBe(1)
})

test('the file, its log and its folder are the owner’s alone', async () => {
  const path = join(testFolder(), 'data', 'test.db')
  const { probe, close } = await openSqlite(path, runtime)
  await probe()
  expect([path, `${path}-wal`, `${path}-shm`].map(mode)).toEqual(['600', '600', '600'])
  expect(mode(dirname(path))).toBe('700')
  await close()
})

test('an existing file that others could read is closed to them', async () => {
  const path = join(testFolder(), 'wide.db')
  writeFileSync(path, '')
  chmodSync(path, 0o666)
  const database = await openSqlite(path, runtime)
  expect(mode(path)).toBe('600')
  await database.close()
})

test('a file is opened again with what was in it, and nothing is migrated twice', async () => {
  const path = join(testFolder(), 'again.db')
  const first = await openSqlite(path, runtime)
  await first.probe()
  await first.close()
  const second = await openSqlite(path, runtime)
  expect(await second.query.selectFrom('health').selectAll().execute()).toHaveLength(1)
  await second.close()
})

describe('refuses to open', () => {
  const refused = (path: string, code: string) =>
    expect(openSqlite(path, runtime)).rejects.toMatchObject({ name: 'StorageError', code })

  test('a file that is no database is refused', async () => {
    const path = join(testFolder(), 'other.db')
    writeFileSync(path, 'this is a text file, long enough to have a header of its own. '.repeat(100))
    await refused(path, 'not_a_database')
  })

  test('a path whose folder is a file is refused', async () => {
    const folder = testFolder()
    writeFileSync(join(folder, 'data'), '')
    await refused(join(folder, 'data', 'test.db'), 'cannot_open_database_ENOTDIR')
    await refused(join(folder, 'data', 'deeper', 'test.db'), 'cannot_open_database_ENOTDIR')
  })

  test('a path that is a folder is refused', async () => {
    const path = join(testFolder(), 'test.db')
    mkdirSync(path)
    await refused(path, 'cannot_open_database_EISDIR')
  })
})

test('at most 200 prepared statements are kept, the latest used', async () => {
  const file = new SqliteFile(join(testFolder(), 'statements.db'), runtime)
  const first = file.prepare('select 0')
  for (let i = 1; i < 200; i++) file.prepare(`select ${i}`)
  expect(file.prepare('select 0')).toBe(first)
  for (let i = 200; i < 399; i++) file.prepare(`select ${i}`)
  expect(file.prepare('select 0')).toBe(first)
  for (let i = 400; i < 600; i++) file.prepare(`select ${i}`)
  expect(file.prepare('select 0')).not.toBe(first)
  file.close()
})
