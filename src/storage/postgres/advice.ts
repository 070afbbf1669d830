import { sql } from 'kysely'
import type { StorageError } from '../../process/errors.ts'
import type { PostgresStore, Queries } from '../database.ts'
import { UnusableDatabaseError } from '../errors.ts'

const quoted = (name: string) => `"${decodeURIComponent(name).replaceAll('"', '""')}"`

/** What to type after a StorageError, by its code and by the text of the server or the system. */
export function postgresAdvice(code: string, cause: string, { url }: PostgresStore): string {
  const { host, hostname, username, pathname } = new URL(url)
  const [role, database] = [quoted(username), quoted(pathname.slice(1))]
  switch (code) {
    case 'database_host_not_found':
      return `No address is known for ${hostname}: correct the host in DATABASE_URL, or mend the name service.`
    case 'database_certificate_refused':
      return (
        'Its certificate is expired, for another host name, or of an authority that is not known here. Renew it, or ' +
        'give the authority: ?sslmode=verify-full&sslrootcert=/path/to/ca.pem at the end of DATABASE_URL.'
      )
    case 'database_certificate_file_unreadable':
      return 'Give the whole path of a file that this user may read in sslrootcert, sslcert and sslkey of DATABASE_URL.'
    case 'database_without_tls':
      return 'Set ssl = on at the server; or, on a network of your own, take sslmode out of DATABASE_URL.'
    case 'database_login_refused':
      return /pg_hba/.test(cause)
        ? 'Let it in with a line in pg_hba.conf; where the server wants TLS, add ?sslmode=verify-full to DATABASE_URL.'
        : `Correct user and password in DATABASE_URL, special characters as %XX; or type in psql: \\password ${role}`
    case 'database_missing':
      return `Correct the name in DATABASE_URL; or type in psql: CREATE DATABASE ${database} OWNER ${role};`
    case 'database_permission_denied':
      return `Use the role that owns the tables; for the database itself: GRANT CONNECT ON DATABASE ${database} TO ${role};`
    case 'too_many_connections':
      return 'Each instance opens 10, and 2 more at its start: raise max_connections there, or run fewer instances.'
    case 'database_unreachable':
      return `Start PostgreSQL at ${host}, or open the way to it; else correct host and port in DATABASE_URL.`
    default:
      return 'Check DATABASE_URL and its server.'
  }
}

interface Rights {
  /** All names are quoted where they need quotes. */
  readonly role: string
  readonly database: string
  /** Null where no schema of the search path exists, or none may be used. */
  readonly current: string | null
  readonly last: string
  readonly may_create: boolean | null
}

/** Adds the statement to type where this role may not make tables, as in `public` since PostgreSQL 15. */
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
