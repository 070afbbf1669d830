import { sql } from 'kysely'
import type { StorageError } from '../../process/storage-error.ts'
import type { Queries } from '../database.ts'
import { UnusableDatabaseError } from '../unusable-database.ts'

interface Rights {
  /** Quoted where that is needed, as the other names here. */
  readonly role: string
  readonly database: string
  /** Null where none of the search path is there, or may be looked into. */
  readonly current: string | null
  readonly last: string
  readonly may_create: boolean | null
}

/** The statement to type where this role may make no tables: since PostgreSQL 15 only the owner of `public` may. */
export async function withGrant(query: Queries, error: StorageError): Promise<Error> {
  if (!['database_permission_denied', 'no_schema_in_search_path'].includes(error.code)) return error
  const { rows } = await sql<Rights>`select quote_ident(current_user) as role,
    quote_ident(current_database()) as database, quote_ident(current_schema()) as current,
    trim(split_part(current_setting('search_path'), ',', -1)) as last,
    has_schema_privilege(current_schema(), 'create') as may_create`.execute(query)
  const [rights] = rows
  if (!rights || rights.may_create) return error
  const { role, database, current, last } = rights
  const schema = current ?? last
  return new UnusableDatabaseError(
    [
      `The role ${role} may not make tables in the schema ${schema} of ${database}. As a superuser there, type in psql:`,
      ...(current === null ? [`  CREATE SCHEMA IF NOT EXISTS ${schema};`] : []),
      `  GRANT USAGE, CREATE ON SCHEMA ${schema} TO ${role};`,
    ].join('\n'),
  )
}
