import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { memory } from './memory.ts'

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
