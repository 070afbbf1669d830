import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

const { R_OK, W_OK, X_OK } = constants

export interface User {
  readonly uid: number
  readonly gid: number
}

/**
 * Why the database's file cannot be used by this user, and what to type; undefined where nothing is wrong with its
 * folder. Only looks. The names of image and volume are the README's.
 */
export function folderAdvice(file: string, { uid, gid }: User): string | undefined {
  const folder = nearestThatExists(dirname(file))
  const { uid: owner, gid: group } = statSync(folder)
  const code = trouble(folder, R_OK | W_OK | X_OK)
  const mount = `With Docker, give the container a volume there: docker run -v revento-data:${dirname(file)} …`
  if (code === 'EROFS') return `${folder} is on a read-only file system. ${mount}`
  const own = folder === dirname(file) ? readdirSync(folder).filter(name => isOurs(name, file)) : []
  const locked = own.map(name => join(folder, name)).find(path => trouble(path, R_OK | W_OK) === 'EACCES')
  if (code !== 'EACCES' && locked === undefined) return undefined
  const chown = `chown -R ${uid}:${gid} ${folder}`
  return [
    `${locked ?? folder} is not writable for this user (${uid}:${gid}); the folder belongs to ${owner}:${group}. Type:`,
    `  sudo ${chown}`,
    'or, where it is a Docker volume:',
    `  docker run --rm --user 0 -v revento-data:${folder} revento-starter ${chown}`,
  ].join('\n')
}

/** The database with its journals, and the key beside it. */
const isOurs = (name: string, file: string) => name.startsWith(basename(file)) || name === 'encryption.key'

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
