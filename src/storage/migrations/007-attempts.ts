import { hash } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { integer, records, text } from '../sql.ts'
import { withoutRowid } from './types.ts'

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
      .modifyEnd(withoutRowid(db))
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
    .modifyEnd(withoutRowid(db))
    .execute()
  // There may be millions: a batch at a time.
  for (let after = ''; ; ) {
    const old = await db
      .selectFrom('delivery_keys')
      .select(['key', 'inbox_id'])
      .where('key', '>', after)
      .orderBy('key')
      .limit(BATCH)
      .execute()
    const short = records(old.map(({ key, inbox_id }) => ({ key: shortOf(key), id: inbox_id })))
    await sql`insert into short_keys (key, inbox_id) select ${text('key')}, ${integer('id')} from ${short}`.execute(
      db,
    )
    after = old.at(-1)?.key ?? ''
    if (old.length < BATCH) break
  }
  await db.schema.dropTable('delivery_keys').execute()
  await db.schema.alterTable('short_keys').renameTo('delivery_keys').execute()
}
