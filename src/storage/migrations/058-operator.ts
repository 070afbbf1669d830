import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres } from '../sql.ts'
import { withoutRowid } from './types.ts'

/** What the operator's view needs: its sessions, counts by minute, replays by filter, and two ways into the inbox. */
export const operator: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('operator_sessions')
      .addColumn('id_hash', 'text', c => c.primaryKey())
      .addColumn('token_mark', 'text', c => c.notNull())
      .addColumn('created_at', 'bigint', c => c.notNull())
      .addColumn('expires_at', 'bigint', c => c.notNull())
      .execute()
    await db.schema
      .createTable('rollups')
      .addColumn('platform', 'text', c => c.notNull())
      .addColumn('minute_at', 'bigint', c => c.notNull())
      .addColumn('name', 'text', c => c.notNull())
      .addColumn('n', 'bigint', c => c.notNull())
      .addPrimaryKeyConstraint('rollups_pk', ['platform', 'minute_at', 'name'])
      .modifyEnd(withoutRowid(db))
      .execute()
    await replays(db)
    await waysIn(db)
  },
}

async function replays(db: Kysely<unknown>): Promise<void> {
  const table = db.schema.createTable('replays')
  const numbered = isPostgres(db)
    ? table.addColumn('id', 'bigint', c => c.primaryKey().generatedByDefaultAsIdentity())
    : table.addColumn('id', 'integer', c => c.primaryKey().autoIncrement())
  await numbered
    .addColumn('platform', 'text', c => c.notNull())
    .addColumn('filter', 'text', c => c.notNull())
    .addColumn('state', 'text', c => c.notNull())
    .addColumn('total', 'bigint', c => c.notNull())
    .addColumn('replayed', 'bigint', c => c.notNull())
    .addColumn('last_id', 'bigint', c => c.notNull())
    .addColumn('through_id', 'bigint', c => c.notNull())
    .addColumn('created_at', 'bigint', c => c.notNull())
    .addColumn('stepped_at', 'bigint', c => c.notNull())
    .execute()
  await db.schema
    .createTable('reruns')
    .addColumn('inbox_id', 'bigint', c => c.notNull())
    .addColumn('asked_at', 'bigint', c => c.notNull())
    .addColumn('anew', 'integer', c => c.notNull())
    .addPrimaryKeyConstraint('reruns_pk', ['inbox_id', 'asked_at'])
    .execute()
}

/** Neither takes in what has just arrived from Revento, so that its 200 waits for no further index. */
async function waysIn(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createIndex('inbox_rare')
    .on('inbox')
    .columns(['state', 'id', 'type'])
    // Comparisons: SQLite does not see that one of them implies an IN.
    .where(sql<boolean>`state = 'parked' or state = 'dead' or state = 'ignored' or state = 'duplicate'`)
    .execute()
  await db.schema
    .createIndex('inbox_senders')
    .on('inbox')
    .columns(['provider', 'id'])
    .where(sql<boolean>`provider <> 'revento' and state <> 'pending'`)
    .execute()
}

/** Since when a delivery waits that was replayed: what it waited before, and how long it was dead, is another matter. */
export const askedAgain: Migration = {
  up: db => db.schema.alterTable('outcomes').addColumn('asked_at', 'bigint').execute(),
}
