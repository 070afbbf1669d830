import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openSealed } from '../../src/keys/open-sealed.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { MAIN, slowness } from '../helpers/program.ts'
import { base64, sealedStore, settings } from '../helpers/sealed.ts'
import { typed } from '../helpers/typed.ts'

async function start(folder: string, keys: Record<string, string>) {
  const ports = [await freePort(), await freePort()]
  const [PORT, SANDBOX_PORT] = ports.map(String)
  const env = {
    PORT: PORT ?? '',
    SANDBOX_PORT: SANDBOX_PORT ?? '',
    DATABASE_URL: 'sqlite:data/test.db',
    ...keys,
  }
  return { child: node([MAIN], { cwd: folder, env }), ports }
}

/** Every file but the index of the log (-shm), which also a reader makes; an empty log holds nothing. */
function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder).map(name => [name, readFileSync(join(folder, name), 'base64')] as const)
  return Object.fromEntries(
    files.filter(([name, bytes]) => !name.endsWith('-shm') && !(name.endsWith('-wal') && bytes === '')),
  )
}

const answers = (port: number) =>
  new Promise<boolean>(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('close', () => socket.destroy())
    socket.once('connect', () => socket.destroy())
  })

/** Gives how long it took, in ms. */
async function expectRefused(folder: string, keys: Record<string, string>, message: RegExp): Promise<number> {
  const data = join(folder, 'data')
  const before = contents(data)
  const startedAt = performance.now()
  const { child, ports } = await start(folder, keys)
  let answered = false
  const watch = setInterval(async () => {
    for (const port of ports) answered ||= await answers(port)
  }, 20)
  const code = await child.ended
  clearInterval(watch)
  const took = performance.now() - startedAt
  expect(child.output.err).toMatch(message)
  expect({ code, out: child.output.out, answered }).toEqual({ code: 1, out: '', answered: false })
  expect(contents(data)).toEqual(before)
  return took
}

const MESSAGE = /^ENCRYPTION_KEY is not the key of this database: .*\nNothing has been written\.\n$/

const storeIn = (folder: string) => ({ kind: 'sqlite', path: join(folder, 'data', 'test.db') }) as const

/** A start of the same in this process, which is refused. */
const refusedHere = (folder: string, current: number, previous?: number) =>
  expect(openSealed(settings(storeIn(folder), current, previous), runtime)).rejects.toThrow(
    /^ENCRYPTION_KEY is not the key of this database: /,
  )

describe('a start with another ENCRYPTION_KEY than the database’s ends before any write', () => {
  // Again where it failed: two seconds can pass while other tests have the processor.
  test('another key is refused after an orderly stop, within 2 s', { retry: 2 }, async () => {
    const folder = testFolder()
    await sealedStore(storeIn(folder), 1, 2)
    const limit = 2_000 * (await slowness())
    const both = { ENCRYPTION_KEY: base64(2), ENCRYPTION_KEY_PREVIOUS: base64(3) }
    expect(await expectRefused(folder, both, MESSAGE)).toBeLessThan(limit)
    await refusedHere(folder, 2)
    const { database } = await openSealed(settings(storeIn(folder), 1), runtime)
    await database.close()
  })

  test('another key is refused after a crash that left a log behind', async () => {
    const [running, folder] = [testFolder(), testFolder()]
    const { database } = await openSealed(settings(storeIn(running), 1), runtime)
    cpSync(running, folder, { recursive: true })
    await database.close()
    const data = join(folder, 'data')
    expect(contents(data)).toHaveProperty(['test.db-wal'])
    await expectRefused(folder, { ENCRYPTION_KEY: base64(2) }, MESSAGE)
    rmSync(join(data, 'test.db-shm'))
    const before = contents(data)
    await refusedHere(folder, 2)
    expect(contents(data)).toEqual(before)
  })

  test('another key is refused beside an app that runs with the right one, which goes on', async () => {
    const folder = testFolder()
    const { database } = await openSealed(settings(storeIn(folder), 1), runtime)
    await expectRefused(folder, { ENCRYPTION_KEY: base64(2) }, MESSAGE)
    await database.probe()
    await database.close()
  })

  test('a start whose development key file is gone is refused, and no new one is made', async () => {
    const folder = testFolder()
    const keyFile = join(folder, 'data', 'encryption.key')
    const own = { ...settings(storeIn(folder), 1), encryptionKey: undefined, keyFile }
    const { database } = await openSealed(own, runtime)
    await database.close()
    rmSync(keyFile)
    await expectRefused(folder, {}, /^ENCRYPTION_KEY is not set and the key file .* is gone/)
    expect(existsSync(keyFile)).toBe(false)
  })
})

test('a key is changed in three steps: both keys, reseal, the new key alone', async () => {
  const folder = testFolder()
  await sealedStore(storeIn(folder), 1, 3)
  const { database } = await openSealed(settings(storeIn(folder), 2, 1), runtime)
  const env = {
    DATABASE_URL: 'sqlite:data/test.db',
    ENCRYPTION_KEY: base64(2),
    ENCRYPTION_KEY_PREVIOUS: base64(1),
  }
  const reseal = MAIN.replace(/main\.ts$/, 'cli/operate/reseal.ts')
  expect(await typed(reseal, [], { cwd: folder, env })).toMatchObject({ code: 0, err: '' })
  await database.close()
  const { database: later } = await openSealed(settings(storeIn(folder), 2), runtime)
  await later.close()
  await refusedHere(folder, 1)
})
