import { type QueryExecutorProvider, sql } from 'kysely'
import { isPostgres } from '../sql.ts'

/** What the two databases call differently. */
export const blobOf = (db: QueryExecutorProvider) => (isPostgres(db) ? 'bytea' : 'blob')

/** Text that compares byte by byte, as SQLite's does; PostgreSQL's follows the database's language. */
export const byteOrder = (db: QueryExecutorProvider) => (isPostgres(db) ? sql`text collate "C"` : 'text')

/** The table is its own index; PostgreSQL has no such tables. */
export const withoutRowid = (db: QueryExecutorProvider) => (isPostgres(db) ? sql`` : sql`without rowid`)
