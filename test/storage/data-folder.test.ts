import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'

/** The check runs as another user, in a process of its own, because root may write everywhere. */
const LOOK = `
const { checkDataFolder } = await import(process.argv[1])
const root = process.getuid() === 0
if (root) { process.setgid(4711); process.setuid(4711) }
try { checkDataFolder(process.argv[2], { uid: process.getuid(), gid: process.getgid() }); console.log('fine') }
catch (error) { console.log(error.name + ': ' + error.message) }
`
const MODULE = new URL('../../src/storage/data-folder.ts', import.meta.url).href

async function look(file: string): Promise<string> {
  const child = node(['--input-type=module', '-e', LOOK, MODULE, file])
  expect(await child.ended).toBe(0)
  return child.output.out.trim()
}

function folder(mode: number): string {
  const outer = testFolder()
  chmodSync(outer, 0o755)
  const inner = join(outer, 'data')
  mkdirSync(inner)
  chmodSync(inner, mode)
  return inner
}

test.each([
  ['its folder can be written to', 0o777, 'data.db'],
  ['its folder can be made', 0o777, 'new/deeper/data.db'],
])('nothing is said where %s', async (_, mode, file) => {
  expect(await look(join(folder(mode), file))).toBe('fine')
})

test.each([
  ['the folder is somebody else’s', 'data.db'],
  ['a folder cannot be made in it', 'new/data.db'],
])('%s: the words to type', async (_, file) => {
  const data = folder(0o555)
  const said = await look(join(data, file))
  expect(said).toMatch(
    /^DataFolderError: \S+ belongs to \d+:\d+ and is not writable for this user, \d+:\d+\./,
  )
  const chown = /^ {2}sudo (chown -R \d+:\d+ (\S+))$/m.exec(said)
  expect(chown?.[2]).toBe(data)
  expect(said).toContain(`  docker run --rm --user 0 -v revento-data:${data} revento-starter ${chown?.[1]}`)
})

test('a database, or the key beside it, that cannot be written to is named', async () => {
  for (const name of ['data.db', 'data.db-wal', 'encryption.key']) {
    const data = folder(0o777)
    writeFileSync(join(data, name), '', { mode: 0o400 })
    writeFileSync(join(data, 'notes.txt'), '', { mode: 0o400 })
    const said = await look(join(data, 'data.db'))
    expect(said).toContain(`DataFolderError: ${join(data, name)} belongs to `)
  }
})
