import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import { openSqlite } from '../../src/storage/sqlite/database.ts'
import { keysOf } from '../../src/webhooks/inbox/dedupe.ts'
import { testFile } from '../helpers/database.ts'
import { takeBack } from '../helpers/older-schema.ts'

test('every old dedupe key becomes a short one, however many there are', async () => {
  const old = await testFile()
  const ids = Array.from({ length: 10_001 }, (_, i) => i + 1)
  await takeBack(old.query, '006')
  await old.exclusively(file => {
    const insert = file.prepare('insert into delivery_keys values (?, ?, 0)')
    for (const id of ids) insert.run(`revento envelope evt_${id}`, id)
    for (const id of ids) insert.run(`revento delivery d-${id}`, id)
  })
  await old.close()
  const migrated = await openSqlite(old.path, systemRuntime)
  const rows = await migrated.query.selectFrom('delivery_keys').select(['key', 'inbox_id']).execute()
  await migrated.close()
  const owners = new Map(rows.map(row => [row.key, row.inbox_id]))
  expect(owners.size).toBe(20_002)
  for (const id of ids) {
    const keys = keysOf({
      ...{ id, provider: 'revento', platform: 'real' },
      ...{ delivery_id: `d-${id}`, envelope_id: `evt_${id}` },
    })
    expect([owners.get(keys.envelope), owners.get(keys.delivery ?? '')]).toEqual([id, id])
  }
})

test('a file knows the schema that it was left with, and one that was changed is compared by its columns', async () => {
  const { query, path } = await testFile()
  const { rows } = await sql<{ user_version: number }>`pragma user_version`.execute(query)
  expect(rows[0]?.user_version).not.toBe(0)
  await sql`alter table flows add column of_mine text`.execute(query)
  await (await openSqlite(path, systemRuntime)).close()
  await sql`alter table flows rename column kind to other`.execute(query)
  await expect(openSqlite(path, systemRuntime)).rejects.toThrow('has no column flows.kind')
})
