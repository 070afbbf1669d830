import pg from 'pg'
import { StorageError } from '../../process/errors.ts'

/** SQLSTATE, or its class (the first two characters); see the PostgreSQL manual, appendix A. */
const CODES: Record<string, string> = {
  '08': 'database_unreachable',
  '28': 'database_login_refused',
  '3D000': 'database_missing',
  '40': 'transaction_conflict',
  '25006': 'database_read_only',
  '25P03': 'database_unreachable',
  '42501': 'database_permission_denied',
  '53100': 'disk_full',
  '53300': 'too_many_connections',
  '53': 'database_overloaded',
  '55P03': 'database_locked',
  '57014': 'database_slow',
  '57P': 'database_unreachable',
  '58': 'disk_io_error',
  XX: 'database_corrupt',
}

/** Codes of Node, and texts of those errors of pg that have no code. */
const ON_THE_WAY: readonly (readonly [RegExp, string])[] = [
  [/^(ENOTFOUND|EAI_)/, 'database_host_not_found'],
  [/^(DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|CERT_|ERR_TLS_CERT_)/, 'database_certificate_refused'],
  [/^(ENOENT|EACCES|EISDIR)/, 'database_certificate_file_unreadable'],
  [/server does not support SSL/, 'database_without_tls'],
  [/password must be a string/, 'database_login_refused'],
]

/**
 * The StorageError for an error of pg. An error that is not the server's is trouble on the way to it. A wrong statement
 * stays as it is, and so does one that cannot be sent, because it is too large, say.
 */
export function postgresError(error: unknown): unknown {
  if ([StorageError, TypeError, RangeError].some(type => error instanceof type)) return error
  if (!(error instanceof pg.DatabaseError)) {
    const { code = '', message = '' } = error as NodeJS.ErrnoException
    const [, known = 'database_unreachable'] = ON_THE_WAY.find(([form]) => form.test(code || message)) ?? []
    return new StorageError(known, { cause: error })
  }
  const { code = '' } = error
  const known = CODES[code] ?? CODES[code.slice(0, 3)] ?? CODES[code.slice(0, 2)]
  return known ? new StorageError(known, { cause: error }) : error
}

/** Whether the connection is lost. A read-only server may have been replaced by another one, so it counts too. */
export const isLoss = (error: unknown): boolean =>
  error instanceof StorageError && ['database_unreachable', 'database_read_only'].includes(error.code)

export const isConflict = (error: unknown): boolean =>
  error instanceof StorageError && error.code === 'transaction_conflict'
