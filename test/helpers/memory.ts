import { existsSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const MEMORY = '/dev/shm'
const ROOM = 1024 ** 3

/** Where files are in memory, if there is room: what waits for a disk there is not what is tried. Containers have 64 MB. */
export function memory(): string {
  const found = existsSync(MEMORY) ? statfsSync(MEMORY) : undefined
  return found && found.bavail * found.bsize > ROOM ? MEMORY : tmpdir()
}
