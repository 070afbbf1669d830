import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres } from '../sql.ts'
import { byteOrder } from './types.ts'

/**
 * What is stored belongs to one (platform, event, organization), and an ending names how far it reaches. Each fact of a
 * participant gets the time it speaks of, and the delivery that brought it.
 */
export const endings: Migration = {
  async up(db: Kysely<unknown>) {
    await deliveries(db)
    await connections(db)
    await erasures(db)
    await participants(db)
  },
}

/** Until now, the platform of a delivery was that of its connection. */
async function deliveries(db: Kysely<unknown>): Promise<void> {
  const inbox = db.schema.alterTable('inbox')
  await inbox.addColumn('platform', 'text', c => c.notNull().defaultTo('real')).execute()
  await sql`update inbox set platform = 'sandbox' where exists (select 1 from connections c where c.platform = 'sandbox'
    and c.event_id = inbox.event_id and c.organization_id = inbox.organization_id)`.execute(db)
}

async function connections(db: Kysely<unknown>): Promise<void> {
  const table = db.schema.alterTable('connections')
  await table.addColumn('after_delivery', 'bigint', c => c.notNull().defaultTo(0)).execute()
  await sql`update connections set after_delivery = coalesce((select max(i.id) from inbox i
    where i.event_id = connections.event_id and i.received_at < connections.connected_at), 0)`.execute(db)
  if (isPostgres(db)) {
    await sql`alter table connections drop constraint connections_pk,
      add constraint connections_pk primary key (event_id, organization_id, platform)`.execute(db)
    return
  }
  // SQLite changes no primary key: the same table under another name, whatever columns it has by now.
  const { rows } = await sql<{
    sql: string
  }>`select sql from sqlite_schema where name = 'connections'`.execute(db)
  const created = (rows[0]?.sql ?? '')
    .replace('"connections"', '"connections_by_platform"')
    .replace('("event_id", "organization_id")', '("event_id", "organization_id", "platform")')
  await sql.raw(created).execute(db)
  await sql`insert into connections_by_platform select * from connections`.execute(db)
  await db.schema.dropTable('connections').execute()
  await sql`alter table connections_by_platform rename to connections`.execute(db)
}

async function erasures(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('erasures')
    .addColumn('platform', 'text', c => c.notNull())
    .addColumn('event_id', 'text', c => c.notNull())
    .addColumn('organization_id', 'text', c => c.notNull())
    .addColumn('erased_at', 'bigint', c => c.notNull())
    .addColumn('through', 'bigint', c => c.notNull())
    .addColumn('swept', 'bigint', c => c.notNull())
    .addPrimaryKeyConstraint('erasures_pk', ['platform', 'event_id', 'organization_id'])
    .execute()
  // An event was erased whole, for all organizations. Not swept: a delivery that had failed has kept its state.
  await sql`insert into erasures
    select platform, event_id, organization_id, max(erased_at), ${sql.lit(Number.MAX_SAFE_INTEGER)}, 0 from (
      select i.platform, e.event_id, coalesce(i.organization_id, '') as organization_id, e.erased_at
        from erased_events e join inbox i on i.event_id = e.event_id
      union all select c.platform, e.event_id, c.organization_id, e.erased_at
        from erased_events e join connections c on c.event_id = e.event_id) as known
    group by platform, event_id, organization_id`.execute(db)
  await db.schema.dropTable('erased_events').execute()
  // To erase the answers that were given to a delivery.
  await db.schema.createIndex('inline_answers_inbox').on('inline_answers').column('inbox_id').execute()
}

/** Of an event that several organizations hold, nobody knows whose a row was: it comes back with the next webhook. */
async function participants(db: Kysely<unknown>): Promise<void> {
  const bytes = byteOrder(db)
  await db.schema
    .createTable('participants_by_organization')
    .addColumn('platform', 'text', c => c.notNull())
    .addColumn('event_id', 'text', c => c.notNull())
    .addColumn('organization_id', 'text', c => c.notNull())
    .addColumn('participant_id', bytes, c => c.notNull())
    .addColumn('name', bytes)
    .addColumn('name_at', bytes)
    .addColumn('name_delivery', 'bigint')
    .addColumn('application_status', bytes)
    .addColumn('status_at', bytes)
    .addColumn('status_delivery', 'bigint')
    .addColumn('last_type', bytes, c => c.notNull())
    .addColumn('occurred_at', bytes, c => c.notNull())
    .addColumn('last_delivery', 'bigint', c => c.notNull())
    .addColumn('updated_at', 'bigint', c => c.notNull())
    .addPrimaryKeyConstraint('participants_by_organization_pk', [
      'platform',
      'event_id',
      'organization_id',
      'participant_id',
    ])
    .execute()
  await sql`insert into participants_by_organization
    select c.platform, p.event_id, c.organization_id, p.participant_id,
      p.name, case when p.name is not null then p.occurred_at end, case when p.name is not null then 0 end,
      p.application_status, case when p.application_status is not null then p.occurred_at end,
      case when p.application_status is not null then 0 end,
      p.last_type, p.occurred_at, 0, p.updated_at
    from participants p join connections c on c.event_id = p.event_id
    where (select count(*) from connections other where other.event_id = p.event_id) = 1`.execute(db)
  await db.schema.dropTable('participants').execute()
  await sql`alter table participants_by_organization rename to participants`.execute(db)
}
