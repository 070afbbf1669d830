import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { developmentKey } from '../../src/keys/sealing.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'revento-key-'))
  file = join(folder, 'data', 'encryption.key')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('makes 32 random bytes once and gives the same ones afterwards', () => {
  const key = developmentKey(file, runtime)
  expect(key).toHaveLength(32)
  expect(developmentKey(file, runtime)).toEqual(key)
  const other = developmentKey(join(folder, 'other', 'encryption.key'), runtime)
  expect(other).not.toEqual(key)
})

test('the file is the owner’s alone, in a folder of the owner’s alone, with nothing beside it', () => {
  developmentKey(file, runtime)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(statSync(join(folder, 'data')).mode & 0o777).toBe(0o700)
  expect(readdirSync(join(folder, 'data'))).toEqual(['encryption.key'])
})

test.each([
  ['is empty', ''],
  ['was cut', `${Buffer.alloc(32, 1).toString('base64').slice(0, 20)}\n`],
  ['holds hex', `${Buffer.alloc(32, 1).toString('hex')}\n`],
  ['holds a shorter key', `${Buffer.alloc(16, 1).toString('base64')}\n`],
  ['has a line more', `${Buffer.alloc(32, 1).toString('base64')}\nmore\n`],
])('refuses a file that %s, and leaves it as it is', (_, content) => {
  mkdirSync(join(folder, 'data'))
  writeFileSync(file, content)
  expect(() => developmentKey(file, runtime)).toThrow(expect.objectContaining({ code: 'key_file_damaged' }))
  expect(readFileSync(file, 'utf8')).toBe(content)
})

test('eight processes that start together agree on one key', async () => {
  const modules = ['keys/sealing', 'process/runtime'].map(
    name => new URL(`../../src/${name}.ts`, import.meta.url).href,
  )
  const script = `
    const [{ developmentKey }, { systemRuntime }] = await Promise.all(${JSON.stringify(modules)}.map(m => import(m)))
    process.stdout.write('ready')
    process.stdin.once('data', () => {
      process.stdout.write(' ' + developmentKey(${JSON.stringify(file)}, systemRuntime).toString('hex'))
      process.stdin.destroy()
    })`
  const children = Array.from({ length: 8 }, () => spawn(process.execPath, ['-e', script]))
  const outputs = children.map(child => {
    const output = { text: '' }
    child.stdout.on('data', chunk => {
      output.text += chunk
    })
    return output
  })
  await Promise.all(children.map(child => new Promise(resolve => child.stdout.once('data', resolve))))
  const ended = children.map(child => new Promise(resolve => child.once('close', resolve)))
  for (const child of children) child.stdin.write('go')
  await Promise.all(ended)
  const keys = outputs.map(({ text }) => text.split(' ')[1])
  expect(keys[0]).toMatch(/^[0-9a-f]{64}$/)
  expect(new Set(keys).size).toBe(1)
})
