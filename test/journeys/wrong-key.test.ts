import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { MAIN, slowness } from '../helpers/program.ts'
import { base64, sealedStore } from '../helpers/sealed.ts'
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

/** Runs the app with this key until it is ready, then ends it. */
async function run(folder: string, keys: Record<string, string>, signal: NodeJS.Signals): Promise<void> {
  const { child } = await start(folder, keys)
  await child.says('Ready: open')
  child.process.kill(signal)
  await child.ended
}

const MESSAGE = /^ENCRYPTION_KEY is not the key of this database: .*\nNothing has been written\.\n$/

describe('a start with another ENCRYPTION_KEY than the database’s ends before any write', () => {
  // Again where it failed: two seconds can pass while other tests have the processor.
  test('after an orderly stop, within 2 s', { retry: 2 }, async () => {
    const folder = testFolder()
    await sealedStore({ kind: 'sqlite', path: join(folder, 'data', 'test.db') }, 1, 2)
    const both = { ENCRYPTION_KEY: base64(2), ENCRYPTION_KEY_PREVIOUS: base64(3) }
    const took = [
      await expectRefused(folder, { ENCRYPTION_KEY: base64(2) }, MESSAGE),
      await expectRefused(folder, both, MESSAGE),
    ]
    // The quicker one counts, since other tests share the processor.
    expect(Math.min(...took)).toBeLessThan(2_000 * (await slowness()))
    await run(folder, { ENCRYPTION_KEY: base64(1) }, 'SIGTERM')
  })

  test('after a crash that left a log behind', async () => {
    const folder = testFolder()
    await run(folder, { ENCRYPTION_KEY: base64(1) }, 'SIGKILL')
    expect(contents(join(folder, 'data'))).toHaveProperty(['test.db-wal'])
    await expectRefused(folder, { ENCRYPTION_KEY: base64(2) }, MESSAGE)
    rmSync(join(folder, 'data', 'test.db-shm'))
    await expectRefused(folder, { ENCRYPTION_KEY: base64(2) }, MESSAGE)
  })

  test('beside an app that runs with the right one, which goes on', async () => {
    const folder = testFolder()
    const { child, ports } = await start(folder, { ENCRYPTION_KEY: base64(1) })
    await child.says('Ready: open')
    const other = await start(folder, { ENCRYPTION_KEY: base64(2) })
    expect(await other.child.ended).toBe(1)
    expect(other.child.output.err).toMatch(MESSAGE)
    const ready = await fetch(`http://127.0.0.1:${ports[0]}/ready`)
    expect(ready.status).toBe(200)
  })

  test('when the development key file is gone: no new one is made', async () => {
    const folder = testFolder()
    await run(folder, {}, 'SIGTERM')
    const file = join(folder, 'data', 'encryption.key')
    rmSync(file)
    await expectRefused(folder, {}, /^ENCRYPTION_KEY is not set and the key file .* is gone/)
    expect(existsSync(file)).toBe(false)
  })
})

test('the three steps: both keys, reseal, the new key alone', async () => {
  const folder = testFolder()
  const path = join(folder, 'data', 'test.db')
  await sealedStore({ kind: 'sqlite', path: path }, 1, 3)
  const both = { ENCRYPTION_KEY: base64(2), ENCRYPTION_KEY_PREVIOUS: base64(1) }
  const { child } = await start(folder, both)
  await child.says('Ready: open')
  const reseal = MAIN.replace(/main\.ts$/, 'cli/operate/reseal.ts')
  const env = { DATABASE_URL: 'sqlite:data/test.db', ...both }
  expect(await typed(reseal, [], { cwd: folder, env })).toMatchObject({ code: 0, err: '' })
  child.process.kill('SIGTERM')
  await child.ended
  await run(folder, { ENCRYPTION_KEY: base64(2) }, 'SIGTERM')
  await expectRefused(folder, { ENCRYPTION_KEY: base64(1) }, MESSAGE)
})
