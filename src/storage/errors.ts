import { StorageError } from '../process/errors.ts'

/** SQLite's primary result codes (errcode & 0xff), see sqlite.org/rescode.html. */
const SQLITE_CODES: Record<number, string> = {
  5: 'database_locked',
  6: 'database_locked',
  8: 'database_read_only',
  10: 'disk_io_error',
  11: 'database_corrupt',
  13: 'disk_full',
  14: 'cannot_open_database',
  26: 'not_a_database',
}

const FILE_CODES = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'ENOTDIR', 'EISDIR', 'EEXIST'])

/** The StorageError for an error of SQLite or its file. A violated constraint or a wrong statement stays as it is. */
export function storageError(error: unknown): unknown {
  if (error instanceof StorageError || typeof error !== 'object' || error === null) return error
  const { errcode, code } = error as { errcode?: number; code?: string }
  const known = errcode === undefined ? undefined : SQLITE_CODES[errcode & 0xff]
  if (known) return new StorageError(known, { cause: error })
  if (code !== undefined && FILE_CODES.has(code))
    return new StorageError(`cannot_open_database_${code}`, { cause: error })
  return error
}

/** The database is another program's, or incomplete. The message tells the operator what to type. */
export class UnusableDatabaseError extends Error {
  constructor(message: string) {
    super(`${message}\nNothing has been written.`)
    this.name = 'UnusableDatabaseError'
  }
}
