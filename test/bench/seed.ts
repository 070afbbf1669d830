import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { systemRuntime } from '../../src/runtime.ts'
import { openSqlite } from '../../src/storage/sqlite-database.ts'
import { keysOf } from '../../src/webhooks/dedupe.ts'

const INSERT = `insert into inbox (id, provider, delivery_id, envelope_id, type, event_id, organization_id, state,
  attempts, next_at, received_at, finished_at, body)
  values (?, 'revento', ?, ?, 'activity.updated', 'evt_test_published', 'org_test_formal', 'done', 1, 0, ?, ?, ?)`

/** A database as it is after `rows` deliveries were handled, each with its run and its two dedupe keys. */
export async function seed(path: string, rows: number, progress: (text: string) => void): Promise<void> {
  await (await openSqlite(path, systemRuntime)).close()
  const database = new DatabaseSync(path)
  database.exec('pragma synchronous=off; pragma cache_size=-200000; begin')
  const [insert, key, run] = [
    INSERT,
    'insert into delivery_keys (key, inbox_id) values (?, ?)',
    `insert into attempts (inbox_id, started_at, ended_at, attempt, outcome) values (?, ?, ?, 1, 'done')`,
  ].map(sql => database.prepare(sql))
  const body = Buffer.from(JSON.stringify({ note: 'x'.repeat(780) }))
  const start = Date.now() - rows
  for (let id = 1; id <= rows; id++) {
    const [delivery_id, envelope_id, at] = [randomUUID(), `evt_delivery_${randomUUID()}`, start + id]
    insert?.run(id, delivery_id, envelope_id, at, at, body)
    const keys = keysOf({ id, provider: 'revento', delivery_id, envelope_id })
    for (const text of Object.values(keys)) key?.run(text ?? '', id)
    run?.run(id, at, at)
    if (id % 100_000 === 0) progress(`${id} of ${rows} deliveries stored`)
  }
  database.exec('commit; pragma wal_checkpoint(truncate)')
  database.close()
}
