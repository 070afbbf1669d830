import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { memory } from './memory.ts'

/** Makes an empty folder. With `inMemory` its files are in memory, for databases that only this process opens. */
export function makeFolder({ inMemory = false } = {}) {
  const path = mkdtempSync(join(inMemory ? memory() : tmpdir(), 'revento-test-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Makes an empty folder for this test, which is removed after it. */
export function testFolder(): string {
  const folder = makeFolder()
  onTestFinished(folder.remove)
  return folder.path
}
