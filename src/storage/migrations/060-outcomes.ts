import { type Kysely, type QueryExecutorProvider, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { Queries } from '../database.ts'
import { isPostgres, transaction } from '../sql.ts'
import { writeLog } from '../sqlite/log.ts'
import { refuseSmallDisk } from './disk.ts'
import { blobOf } from './types.ts'

/**
 * The inbox becomes two tables: `deliveries` is written once, with the body, and `outcomes` is a narrow row that changes
 * as the delivery is claimed and handled. Both databases store a changed row anew, and PostgreSQL its index entries too.
 * The view `inbox` joins them for whoever reads.
 */
export const outcomes: Migration = {
  async up(db: Kysely<unknown>) {
    for (const index of ['inbox_due', 'inbox_stuck', 'inbox_parked', 'inbox_rare', 'inbox_senders'])
      await db.schema.dropIndex(index).execute()
    if (isPostgres(db)) await splitOnPostgres(db)
    else await splitOnSqlite(db)
    await db.schema
      .createIndex('deliveries_senders')
      .on('deliveries')
      .columns(['provider', 'id'])
      .where(sql<boolean>`provider <> 'revento'`)
      .execute()
    await sql.raw(VIEW).execute(db)
    await refuseOldInserts(db)
  },
}

/** Of the columns that a delivery had in one table these change; those of the second line are there for the indexes. */
const CHANGING = `state, attempts, crashes, next_at, lease_owner, finished_at, last_error, duplicate_of`
const OUTCOMES = `id, platform, event_id, organization_id, ${CHANGING}`
const WRITTEN_ONCE = `id, provider, platform, delivery_id, envelope_id, type, event_id, organization_id, received_at, body`

const VIEW = `create view inbox as select d.id, d.provider, d.platform, d.delivery_id, d.envelope_id, d.type, d.event_id,
  d.organization_id, d.received_at, d.trace_id, d.headers, d.body, ${CHANGING.replaceAll(/\w+/g, 'o.$&')}
  from deliveries d join outcomes o on o.id = d.id`

async function splitOnPostgres(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('inbox').renameTo('deliveries').execute()
  await sql`alter sequence inbox_id_seq rename to deliveries_id_seq`.execute(db)
  await sql`alter index inbox_event rename to deliveries_event`.execute(db)
  await createOutcomes(db)
  const { rows } = await sql<Record<'oldest' | 'newest', string | null>>`
    select min(id) as oldest, max(id) as newest from deliveries`.execute(db)
  const newest = Number(rows[0]?.newest ?? 0)
  for (let last = Number(rows[0]?.oldest ?? 1) - 1; last < newest; last += BATCH * 10) {
    tellLeft(newest - last)
    const batch = `from deliveries where id > ${last} and id <= ${last + BATCH * 10}`
    await sql.raw(`insert into outcomes (${OUTCOMES}) select ${OUTCOMES} ${batch}`).execute(db)
  }
  const dropped = CHANGING.replaceAll(/\w+/g, 'drop column $&')
  await sql
    .raw(`alter table deliveries ${dropped}, add column trace_id text, add column headers text`)
    .execute(db)
}

/** SQLite drops a column by writing every row anew, so the rows go over in batches; see `moveInbox`. */
async function splitOnSqlite(db: Kysely<unknown>): Promise<void> {
  await refuseSmallDisk(db, 'inbox')
  await db.schema.dropIndex('inbox_event').execute()
  await db.schema.alterTable('inbox').renameTo(BEFORE).execute()
  await db.schema
    .createTable('deliveries')
    .addColumn('id', 'integer', c => c.primaryKey().autoIncrement())
    .addColumn('provider', 'text', c => c.notNull())
    .addColumn('platform', 'text', c => c.notNull())
    .addColumn('delivery_id', 'text')
    .addColumn('envelope_id', 'text', c => c.notNull())
    .addColumn('type', 'text', c => c.notNull())
    .addColumn('event_id', 'text')
    .addColumn('organization_id', 'text')
    .addColumn('received_at', 'bigint', c => c.notNull())
    // Before the body, or they would be read past all of it.
    .addColumn('trace_id', 'text')
    .addColumn('headers', 'text')
    .addColumn('body', blobOf(db))
    .execute()
  await db.schema
    .createIndex('deliveries_event')
    .on('deliveries')
    .columns(['event_id', 'organization_id', 'id'])
    .execute()
  await createOutcomes(db)
  // No number is given twice, also where the newest rows are gone.
  await sql`insert into sqlite_sequence (name, seq)
    select 'deliveries', seq from sqlite_sequence where name = ${BEFORE}`.execute(db)
  const { rows } = await sql`select 1 from inbox_before limit 1`.execute(db)
  if (rows.length === 0) await db.schema.dropTable(BEFORE).execute()
}

const STATES = ['done', 'running', 'pending', 'ignored', 'duplicate', 'parked', 'dead']

async function createOutcomes(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('outcomes')
    .addColumn('id', isPostgres(db) ? 'bigint' : 'integer', c => c.primaryKey())
    .addColumn('platform', 'text', c => c.notNull())
    .addColumn('event_id', 'text')
    .addColumn('organization_id', 'text')
    .addColumn('state', 'text', c => c.notNull())
    .addColumn('attempts', 'integer', c => c.notNull())
    .addColumn('crashes', 'integer', c => c.notNull().defaultTo(0))
    .addColumn('next_at', 'bigint', c => c.notNull())
    .addColumn('lease_owner', 'text')
    .addColumn('finished_at', 'bigint')
    .addColumn('last_error', 'text')
    .addColumn('duplicate_of', 'bigint')
    // Comparisons, the frequent ones first: for a list SQLite makes a table at each write, a third of what the write costs.
    .addCheckConstraint('outcomes_state', sql.raw(STATES.map(state => `state = '${state}'`).join(' or ')))
    .execute()
  const index = (name: string) => db.schema.createIndex(`outcomes_${name}`).on('outcomes')
  await index('due')
    .columns(['next_at', 'id'])
    .where(sql.ref('state'), 'in', sql`('pending','running')`)
    .execute()
  await index('stuck')
    .columns(['event_id', 'organization_id', 'state', 'id'])
    // Two comparisons: SQLite does not see that one of them implies an IN.
    .where(sql<boolean>`state = 'parked' or state = 'dead'`)
    .execute()
  await index('rare')
    .columns(['state', 'id'])
    .where(sql<boolean>`state = 'parked' or state = 'dead' or state = 'ignored' or state = 'duplicate'`)
    .execute()
  await index('parked')
    .columns(['platform', 'event_id', 'organization_id', 'id'])
    .where(sql<boolean>`state = 'parked'`)
    .execute()
}

/**
 * A process of the version before, still running, would answer 500 to what it cannot store in the view: the error that it
 * gets here is one for which it answers 503. Of those SQLite lets a trigger cause only that of a table that has used up
 * its numbers; PostgreSQL has that table too, since both have the same ones.
 */
async function refuseOldInserts(db: Kysely<unknown>): Promise<void> {
  const table = db.schema.createTable('refused_inserts')
  if (isPostgres(db)) {
    await table.addColumn('id', 'bigint', c => c.primaryKey()).execute()
    await sql`create or replace function refuse_inbox() returns trigger language plpgsql as $$ begin
      raise exception 'a newer version has migrated this database' using errcode = '53000'; end $$`.execute(
      db,
    )
    await sql`create trigger inbox_refused instead of insert on inbox
      for each row execute function refuse_inbox()`.execute(db)
    return
  }
  await table.addColumn('id', 'integer', c => c.primaryKey().autoIncrement()).execute()
  await sql`insert into sqlite_sequence (name, seq) values ('refused_inserts', 9223372036854775807)`.execute(
    db,
  )
  await sql`create trigger inbox_refused instead of insert on inbox
    begin insert into refused_inserts (id) values (null); end`.execute(db)
}

/** SQLite's table of the version before, until its rows have gone over. */
const BEFORE = 'inbox_before'
/** A batch blocks for some hundred milliseconds; nothing else runs before the last one. */
const BATCH = 10_000

/** Says how far the move is: of many rows it takes a while, and nothing listens meanwhile. */
const tellLeft = (left: number) =>
  process.stderr.write(`New tables for the inbox: about ${left} deliveries are left\n`)

const isThere = async (db: QueryExecutorProvider) =>
  (await sql`select 1 from sqlite_schema where name = ${BEFORE}`.execute(db)).rows.length > 0

/**
 * Brings the rows of the table before to the two new ones, in batches that are committed one by one: whatever is
 * interrupted goes on with the next start, and the room of those that went is used for those that come.
 */
export async function moveInbox(db: Queries, progress = tellLeft): Promise<void> {
  if (isPostgres(db)) return
  while (await isThere(db)) {
    const left = await transaction(db, moveBatch)
    if (left > 0) progress(left)
    await writeLog(db)
  }
}

/** Says about how many are left. */
async function moveBatch(trx: Queries): Promise<number> {
  // Another process may have moved the last ones.
  if (!(await isThere(trx))) return 0
  const { rows } = await sql<{ last: number | null; newest: number }>`select max(id) as last,
    (select max(id) from inbox_before) as newest
    from (select id from inbox_before order by id limit ${BATCH})`.execute(trx)
  const { last, newest } = rows[0] ?? { last: null, newest: 0 }
  if (last === null) {
    await sql`drop table inbox_before`.execute(trx)
    return 0
  }
  const batch = `from inbox_before where id <= ${last}`
  await sql.raw(`insert into deliveries (${WRITTEN_ONCE}) select ${WRITTEN_ONCE} ${batch}`).execute(trx)
  await sql.raw(`insert into outcomes (${OUTCOMES}) select ${OUTCOMES} ${batch}`).execute(trx)
  await sql.raw(`delete ${batch}`).execute(trx)
  return newest - last
}
