import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres } from '../sql.ts'
import { byteOrder, withoutRowid } from './types.ts'

/** The table of participants becomes a copy of Revento's list, and each run that compares the two is a row. */
export const mirror: Migration = {
  async up(db: Kysely<unknown>) {
    await participants(db)
    await runs(db)
  },
}

async function participants(db: Kysely<unknown>): Promise<void> {
  const table = db.schema.alterTable('participants')
  const bytes = byteOrder(db)
  for (const name of ['data', 'data_at', 'role', 'last_reviewed_at', 'last_reviewer_id'])
    await table.addColumn(name, bytes).execute()
  for (const name of ['last_review_action', 'listed_at', 'gone_at'])
    await table.addColumn(name, bytes).execute()
  await table.addColumn('data_delivery', 'bigint').execute()
  await table.addColumn('first_seen_at', 'bigint', c => c.notNull().defaultTo(0)).execute()
  await table.addColumn('seen_run', 'bigint', c => c.notNull().defaultTo(0)).execute()
  await sql`update participants set first_seen_at = updated_at`.execute(db)
  // A view of the builder's may stand on it, so PostgreSQL replaces it; SQLite cannot, and looks for it when it is read.
  if (!isPostgres(db)) await sql`drop view revento_participants`.execute(db)
  await sql`create ${isPostgres(db) ? sql`or replace` : sql``} view revento_participants as select platform, event_id,
    organization_id, participant_id, name, application_status, last_type, occurred_at, updated_at, role,
    last_reviewed_at, last_reviewer_id, last_review_action, data, first_seen_at, listed_at, gone_at
    from participants`.execute(db)
}

async function runs(db: Kysely<unknown>): Promise<void> {
  const bytes = byteOrder(db)
  const table = db.schema.createTable('sync_runs')
  const numbered = isPostgres(db)
    ? table.addColumn('id', 'bigint', c => c.primaryKey().generatedByDefaultAsIdentity())
    : table.addColumn('id', 'integer', c => c.primaryKey().autoIncrement())
  const zero = [
    'pages',
    'counted',
    'added',
    'changed',
    'removed',
    'restarts',
    'fence',
    'lease_until',
  ] as const
  const counting = zero.reduce(
    (made, name) => made.addColumn(name, 'bigint', c => c.notNull().defaultTo(0)),
    numbered
      .addColumn('platform', 'text', c => c.notNull())
      .addColumn('event_id', 'text', c => c.notNull())
      .addColumn('organization_id', 'text', c => c.notNull())
      .addColumn('list', 'text', c => c.notNull())
      .addColumn('reason', 'text', c => c.notNull())
      .addColumn('connected_at', 'bigint', c => c.notNull())
      .addColumn('tells', 'integer', c => c.notNull())
      .addColumn('created_at', 'bigint', c => c.notNull())
      .addColumn('started_at', 'bigint')
      .addColumn('finished_at', 'bigint')
      .addColumn('outcome', 'text')
      .addColumn('problem', 'text')
      .addColumn('phase', 'text', c => c.notNull())
      .addColumn('cursor', 'text')
      .addColumn('fresh_at', bytes)
      .addColumn('pass_at', bytes)
      .addColumn('waits_for', 'text')
      .addColumn('waits_until', 'bigint')
      .addColumn('lease_owner', 'text'),
  )
  await counting.execute()
  const owner = ['platform', 'event_id', 'organization_id', 'list'] as const
  await db.schema
    .createIndex('sync_runs_owner')
    .on('sync_runs')
    .columns([...owner, 'id'])
    .execute()
  // A connection's list has one run at most that has not ended.
  await db.schema
    .createIndex('sync_runs_open')
    .unique()
    .on('sync_runs')
    .columns([...owner])
    .where(sql<boolean>`finished_at is null`)
    .execute()
}

/** A comparison reads the list again until two passes agree on who is in it, so each row says which pass saw it last. */
export const passes: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .alterTable('participants')
      .addColumn('seen_pass', 'integer', c => c.notNull().defaultTo(0))
      .execute()
    await db.schema
      .alterTable('sync_runs')
      .addColumn('pass', 'integer', c => c.notNull().defaultTo(1))
      .execute()
  },
}

/** The copy of each connected event's activities. */
export const activities: Migration = {
  async up(db: Kysely<unknown>) {
    const bytes = byteOrder(db)
    await db.schema
      .createTable('activities')
      .addColumn('platform', 'text', c => c.notNull())
      .addColumn('event_id', 'text', c => c.notNull())
      .addColumn('organization_id', 'text', c => c.notNull())
      .addColumn('activity_id', bytes, c => c.notNull())
      .addColumn('status', bytes)
      .addColumn('data', bytes, c => c.notNull())
      .addColumn('data_delivery', 'bigint', c => c.notNull())
      .addColumn('first_seen_at', 'bigint', c => c.notNull())
      .addColumn('listed_at', bytes, c => c.notNull())
      .addColumn('seen_run', 'bigint', c => c.notNull())
      .addColumn('seen_pass', 'integer', c => c.notNull())
      .addColumn('gone_at', bytes)
      .addColumn('updated_at', 'bigint', c => c.notNull())
      .addPrimaryKeyConstraint('activities_pk', ['platform', 'event_id', 'organization_id', 'activity_id'])
      .modifyEnd(withoutRowid(db))
      .execute()
  },
}
