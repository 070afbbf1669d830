import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type Runtime, systemRuntime } from '../../src/runtime.ts'
import { type Database, openDatabase } from '../../src/storage/database.ts'
import { testFolder } from './folder.ts'

export interface TestDatabase extends Database {
  readonly path: string
}

/** A real, migrated file of this test's own, closed and removed after it. */
export async function testDatabase(runtime: Runtime = systemRuntime): Promise<TestDatabase> {
  const path = join(testFolder(), 'data', 'test.db')
  const database = await openDatabase(path, runtime)
  onTestFinished(() => database.close())
  return { ...database, path }
}
