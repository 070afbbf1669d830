import { closeSync, existsSync, lstatSync, openSync, readSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { storageError, UnusableDatabaseError } from '../errors.ts'

/** Where SQLite's file header has 2 if a log belongs to the file, or 1 if it was closed into one file like a backup. */
const READ_VERSION_AT = 19

/**
 * Refuses a file that SQLite would harm by opening it. SQLite empties a log beside a missing or empty database, and
 * applies the log of another database: both destroy data. It makes a new database behind a link to nothing, and keeps a
 * log of its own for each hard link of a file.
 */
export function refuseLeftovers(path: string): void {
  try {
    look(path)
  } catch (error) {
    throw storageError(error)
  }
}

function look(path: string): void {
  const link = linkToNothing(path)
  if (link)
    throw new UnusableDatabaseError(
      `${link} is a link to what is not there: mount what it is on, or remove the link.`,
    )
  const file = statSync(path, { throwIfNoEntry: false })
  if (file?.isFile() && file.nlink > 1)
    throw new UnusableDatabaseError(
      `${path} is one of several names (hard links) of one file, and each would get a log of its own. Find the others, ` +
        `and remove them: find / -xdev -samefile ${path}`,
    )
  const log = `${path}-wal`
  if (sizeOf(log) === 0) return
  const rest = `${log} ${path}-shm`
  if (sizeOf(path) === 0)
    throw new UnusableDatabaseError(
      `${path} is gone or empty, but its log ${log} is still there. ` +
        `Put the database back beside its log; or a backup, after: rm ${rest}`,
    )
  if (readVersion(path) === 1)
    throw new UnusableDatabaseError(
      `The log ${log} belongs to another database than ${path}, which was closed without one: a backup that was put ` +
        `back, say. To use this database as it is: rm ${rest}`,
    )
}

/** Returns the path, or a folder of it, that is a link to nothing. */
function linkToNothing(path: string): string | undefined {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() && !existsSync(path)) return path
  return dirname(path) === path ? undefined : linkToNothing(dirname(path))
}

const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0

function readVersion(path: string): number | undefined {
  const file = openSync(path, 'r')
  const bytes = Buffer.alloc(1)
  try {
    return readSync(file, bytes, 0, 1, READ_VERSION_AT) === 1 ? bytes[0] : undefined
  } finally {
    closeSync(file)
  }
}
