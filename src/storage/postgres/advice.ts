import type { PostgresStore } from '../store.ts'

const quoted = (name: string) => `"${decodeURIComponent(name).replaceAll('"', '""')}"`

/** What to type, by the code of a StorageError and what the server or the system said. */
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
