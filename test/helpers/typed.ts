import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { pathToFileURL } from 'node:url'
import { vi } from 'vitest'
import { testFolder } from './folder.ts'
import { ownValues } from './own-values.ts'

export interface Typed {
  readonly code: number
  readonly out: string
  readonly err: string
}

let times = 0

/**
 * Runs a command of src/cli as if it were typed in an empty folder, but in this process, which saves its start. It gets
 * the given environment, and what the settings of src/integration require. Only one runs at a time, because this process has
 * one environment.
 */
export async function typed(
  command: string,
  args: readonly string[],
  { cwd = testFolder(), env = {} }: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Typed> {
  const said = { out: '', err: '' }
  const before = { argv: process.argv, env: process.env, cwd: process.cwd() }
  const listeners = process.stderr.listeners('error')
  const { writeSync } = fs
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation(text => {
    said.err += text
    return true
  })
  fs.writeSync = ((file: number, bytes: Buffer, ...rest: []) => {
    if (file !== 1) return writeSync(file, bytes, ...rest)
    said.out += bytes
    return bytes.length
  }) as typeof fs.writeSync
  syncBuiltinESMExports()
  process.argv = [process.execPath, command, ...args]
  process.env = { ...ownValues, ...env }
  process.chdir(cwd)
  try {
    // The number makes the address a new one: a module runs once for each address.
    await import(`${pathToFileURL(command)}?${++times}`)
    return { code: Number(process.exitCode ?? 0), ...said }
  } finally {
    process.exitCode = 0
    process.chdir(before.cwd)
    process.env = before.env
    process.argv = before.argv
    fs.writeSync = writeSync
    syncBuiltinESMExports()
    stderr.mockRestore()
    for (const listener of process.stderr.listeners('error'))
      if (!listeners.includes(listener)) process.stderr.off('error', listener as () => void)
  }
}
