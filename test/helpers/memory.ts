import { existsSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const MEMORY = '/dev/shm'
const ROOM = 1024 ** 3

/** Returns a folder in memory, where that has a gigabyte of room (in containers it has 64 MB): no test is about the disk. */
export function memory(): string {
  const found = existsSync(MEMORY) ? statfsSync(MEMORY) : undefined
  return found && found.bavail * found.bsize > ROOM ? MEMORY : tmpdir()
}
