import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** An empty folder. */
export function makeFolder() {
  const path = mkdtempSync(join(tmpdir(), 'revento-test-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** An empty folder of this test's own, gone after it. */
export function testFolder(): string {
  const folder = makeFolder()
  onTestFinished(folder.remove)
  return folder.path
}
