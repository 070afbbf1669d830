import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Runtime } from '../process/runtime.ts'
import { StorageError } from '../process/storage-error.ts'

const FORM = /^[A-Za-z0-9+/]{43}=\n?$/

/**
 * Development only: a key made once and kept beside the database, readable by the owner. It appears whole or not at
 * all, so two processes that start together agree on one.
 */
export function developmentKey(file: string, runtime: Pick<Runtime, 'bytes' | 'uuid'>): Buffer {
  if (existsSync(file)) return readKey(file)
  const draft = `${file}.${runtime.uuid()}`
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(draft, `${runtime.bytes(32).toString('base64')}\n`, { flag: 'wx', mode: 0o600 })
    linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new StorageError('cannot_create_key_file', { cause: error })
  } finally {
    rmSync(draft, { force: true })
  }
  return readKey(file)
}

function readKey(file: string): Buffer {
  const text = readFileSync(file, 'utf8')
  if (!FORM.test(text)) throw new StorageError('key_file_damaged')
  return Buffer.from(text, 'base64')
}
