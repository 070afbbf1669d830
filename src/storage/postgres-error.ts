import pg from 'pg'
import { StorageError } from './storage-error.ts'

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

/** What did not come from the server is trouble on the way to it. Mistakes in a statement stay as they are. */
export function postgresError(error: unknown): unknown {
  if (error instanceof StorageError || error instanceof TypeError) return error
  if (!(error instanceof pg.DatabaseError)) return new StorageError('database_unreachable', { cause: error })
  const { code = '' } = error
  const known = CODES[code] ?? CODES[code.slice(0, 3)] ?? CODES[code.slice(0, 2)]
  return known ? new StorageError(known, { cause: error }) : error
}

/** Its connection is of no use any more; a read-only server may be one that another has taken the place of. */
export const isLoss = (error: unknown): boolean =>
  error instanceof StorageError && ['database_unreachable', 'database_read_only'].includes(error.code)

export const isConflict = (error: unknown): boolean =>
  error instanceof StorageError && error.code === 'transaction_conflict'
