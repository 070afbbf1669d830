import { hash } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { integer, records, text } from '../records.ts'

/**
 * Every run of a handler gets a row. Crashes are counted apart from failures. Dedupe keys become short digests, in a
 * table that is its own index: they are the only random writes there are.
 */
export const attempts: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .alterTable('inbox')
      .addColumn('crashes', 'integer', c => c.notNull().defaultTo(0))
      .execute()
    await db.schema
      .createTable('attempts')
      .addColumn('inbox_id', 'bigint', c => c.notNull())
      .addColumn('started_at', 'bigint', c => c.notNull())
      .addColumn('ended_at', 'bigint')
      .addColumn('attempt', 'integer', c => c.notNull())
      .addColumn('outcome', 'text', c => c.notNull())
      .addColumn('error', 'text')
      .addColumn('calls', 'text')
      .addPrimaryKeyConstraint('attempts_pk', ['inbox_id', 'started_at'])
      .modifyEnd(sql`without rowid`)
      .execute()
    await shortKeys(db as Kysely<OldKeys>)
  },
}

interface OldKeys {
  delivery_keys: { key: string; inbox_id: number }
  short_keys: { key: string; inbox_id: number }
}

const BATCH = 10_000
const shortOf = (key: string) => hash('sha256', key, 'base64url').slice(0, 22)

async function shortKeys(db: Kysely<OldKeys>): Promise<void> {
  await db.schema
    .createTable('short_keys')
    .addColumn('key', 'text', c => c.primaryKey().notNull())
    .addColumn('inbox_id', 'bigint', c => c.notNull())
    .modifyEnd(sql`without rowid`)
    .execute()
  // There may be millions: a batch at a time, in the order of the old table, whose rowid its schema does not name.
  for (let after = 0; ; ) {
    const { rows } = await sql<OldKeys['delivery_keys'] & { rowid: number }>`
      select rowid, key, inbox_id from delivery_keys where rowid > ${after} order by rowid limit ${BATCH}`.execute(
      db,
    )
    const short = rows.map(({ key, inbox_id }) => ({ key: shortOf(key), id: inbox_id }))
    await sql`insert into short_keys (key, inbox_id) select ${text('key')}, ${integer('id')} from ${records(short)}`.execute(
      db,
    )
    after = rows.at(-1)?.rowid ?? 0
    if (rows.length < BATCH) break
  }
  await db.schema.dropTable('delivery_keys').execute()
  await db.schema.alterTable('short_keys').renameTo('delivery_keys').execute()
}
