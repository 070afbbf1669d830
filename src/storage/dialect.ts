import { PostgresAdapter, type QueryExecutorProvider, sql } from 'kysely'
import { storableJson } from './storable.ts'

/** The few places where the two databases differ ask this; everything else is one query for both. */
export const isPostgres = (db: QueryExecutorProvider): boolean =>
  db.getExecutor().adapter instanceof PostgresAdapter

/**
 * Until this transaction ends, no other one holds the name. SQLite lets one transaction write at a time and needs
 * nothing; PostgreSQL runs them side by side, and what one has read may have changed before it writes.
 */
export async function alone(trx: QueryExecutorProvider, name: string): Promise<void> {
  if (isPostgres(trx)) await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(trx)
}

/** Beside others that hold these names together, and never while one holds one of them alone. */
export async function together(trx: QueryExecutorProvider, names: Iterable<string>): Promise<void> {
  const list = Object.fromEntries([...names].map(name => [name, 0]))
  if (isPostgres(trx) && Object.keys(list).length > 0)
    await sql`select pg_advisory_xact_lock_shared(hashtextextended(r.key, 0))
      from json_each(${storableJson(list)}) as r`.execute(trx)
}

/** The name under which an event's data is erased, and under which whoever writes of it looks whether it was. */
export const eventLock = (eventId: string) => `event ${eventId}`
