import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const MEMORY = '/dev/shm'
const ROOM = 1024 ** 3

/** Where files are in memory, if there is room: what waits for a disk there is not what is tried. Containers have 64 MB. */
function memory(): string {
  const found = existsSync(MEMORY) ? statfsSync(MEMORY) : undefined
  return found && found.bavail * found.bsize > ROOM ? MEMORY : tmpdir()
}

/** An empty folder; in memory for databases of this process. */
export function makeFolder({ inMemory = false } = {}) {
  const path = mkdtempSync(join(inMemory ? memory() : tmpdir(), 'revento-test-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** An empty folder of this test's own, gone after it. */
export function testFolder(): string {
  const folder = makeFolder()
  onTestFinished(folder.remove)
  return folder.path
}
