import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

const { R_OK, W_OK, X_OK } = constants

export interface User {
  readonly uid: number
  readonly gid: number
}

/** The database's folder cannot be used; the message says what to type. */
export class DataFolderError extends Error {
  override readonly name = 'DataFolderError'
}

/**
 * Checks, before anything is opened, that this user can use the database's folder and its files, or the place where the
 * folder has to be made. Writes nothing. Image and volume have the names of the README.
 */
export function checkDataFolder(file: string, user: User): void {
  const wanted = dirname(file)
  const folder = nearestThatExists(wanted)
  const code = trouble(folder, R_OK | W_OK | X_OK)
  if (code === 'EROFS')
    throw new DataFolderError(
      `${folder} is on a read-only file system. With Docker, mount a volume: docker run -v revento-data:${wanted} …`,
    )
  if (code !== undefined) throw notWritable(folder, folder, user)
  if (folder !== wanted) return
  const own = readdirSync(folder).filter(name => name.startsWith(basename(file)) || name === 'encryption.key')
  const locked = own.map(name => join(folder, name)).find(path => trouble(path, R_OK | W_OK) === 'EACCES')
  if (locked !== undefined) throw notWritable(locked, folder, user)
}

function notWritable(path: string, folder: string, { uid, gid }: User): DataFolderError {
  const owner = statSync(path)
  const chown = `chown -R ${uid}:${gid} ${folder}`
  return new DataFolderError(
    [
      `${path} belongs to ${owner.uid}:${owner.gid} and is not writable for this user, ${uid}:${gid}. Type:`,
      `  sudo ${chown}`,
      'or, where it is a Docker volume:',
      `  docker run --rm --user 0 -v revento-data:${folder} revento-starter ${chown}`,
    ].join('\n'),
  )
}

const nearestThatExists = (folder: string): string =>
  existsSync(folder) ? folder : nearestThatExists(dirname(folder))

function trouble(path: string, mode: number): string | undefined {
  try {
    accessSync(path, mode)
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}
