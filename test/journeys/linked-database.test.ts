import { cpSync, existsSync, linkSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { request } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/settings.ts'
import { openSealed } from '../../src/keys/open-sealed.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { storageAdvice } from '../../src/storage/advice.ts'
import { startApp } from '../helpers/app.ts'
import { testFolder } from '../helpers/folder.ts'
import { startMain } from '../helpers/program.ts'
import { testRuntime } from '../helpers/runtime.ts'
import { settings } from '../helpers/sealed.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'

async function post(url: string): Promise<number> {
  const { body, headers } = signedDelivery({ id: crypto.randomUUID() })
  const answer = await request(`${url}/webhooks/revento`, { method: 'POST', body, headers })
  await answer.body.dump()
  return answer.statusCode
}

/** Each leads to real/x.db, and gives the path that DATABASE_URL names. */
const LINKS: [string, (folder: string) => string][] = [
  [
    'a link to the file',
    folder => {
      mkdirSync(join(folder, 'cfg'))
      symlinkSync('../real/x.db', join(folder, 'cfg', 'x.db'))
      return 'cfg/x.db'
    },
  ],
  [
    'a link to its folder',
    folder => {
      symlinkSync('real', join(folder, 'cfg'))
      return 'cfg/x.db'
    },
  ],
  [
    'a link to a link',
    folder => {
      symlinkSync('second', join(folder, 'first'))
      symlinkSync(join(folder, 'real'), join(folder, 'second'))
      return './first/../first/x.db'
    },
  ],
]

/** A database that was used once and closed, behind the link. */
async function linked(make: (folder: string) => string): Promise<{ folder: string; path: string }> {
  const folder = testFolder()
  const { database } = await openSealed(
    settings({ kind: 'sqlite', path: join(folder, 'real/x.db') }, 1),
    runtime,
  )
  await database.close()
  return { folder, path: make(folder) }
}

/** What the program would print of this database before it ends. */
async function refusal(databaseUrl: string): Promise<string | undefined> {
  const { store } = loadConfig({ DATABASE_URL: databaseUrl })
  const error = await openSealed(settings(store, 1), runtime).then(
    () => new Error('it was opened'),
    failed => failed as unknown,
  )
  return storageAdvice(error, store)
}

describe.each(LINKS)('behind %s', (_, make) => {
  test('the guards look where SQLite looks, beside the file itself', async () => {
    const { folder, path } = await linked(make)
    const time = testRuntime()
    const app = await startApp({ databaseUrl: `sqlite:${folder}/${path}`, runtime: time })
    onTestFinished(() => {
      // Half a minute later nobody watches /ready any more, who would be given notice.
      time.advance(30_000)
      return app.close()
    })
    for (let n = 0; n < 3; n++) expect(await post(app.url)).toBe(200)
    const log = join(folder, 'real', 'x.db-wal')
    rmSync(log)
    for (let n = 0; n < 5; n++) expect(await post(app.url)).toBe(503)
    await until(async () => (await fetch(`${app.url}/ready`)).status === 503)
  })

  test('a start finds the log of a database that is gone', async () => {
    const { folder, path } = await linked(make)
    const app = await startApp({ databaseUrl: `sqlite:${folder}/${path}` })
    expect(await post(app.url)).toBe(200)
    // As a kill leaves it.
    const real = join(folder, 'real')
    const killed = testFolder()
    cpSync(real, killed, { recursive: true })
    await app.close()
    cpSync(killed, real, { recursive: true })
    renameSync(join(real, 'x.db'), join(real, 'x.db.away'))
    expect(await refusal(`sqlite:${folder}/${path}`)).toMatch(
      /is gone or empty, but its log|is a link to what is not there/,
    )
    expect(existsSync(join(real, 'x.db-wal'))).toBe(true)
  })
})

test('a link that is set to another database while the app runs is as a file that was replaced', async () => {
  const folder = testFolder()
  mkdirSync(join(folder, 'real'))
  mkdirSync(join(folder, 'other'))
  symlinkSync('real', join(folder, 'cfg'))
  const app = await startApp({ databaseUrl: `sqlite:${join(folder, 'cfg', 'x.db')}` })
  onTestFinished(() => app.close())
  expect(await post(app.url)).toBe(200)
  const point = (to: string) => {
    symlinkSync(to, join(folder, 'new'))
    renameSync(join(folder, 'new'), join(folder, 'cfg'))
  }
  cpSync(join(folder, 'real', 'x.db'), join(folder, 'other', 'x.db'))
  point('other')
  expect(await post(app.url)).toBe(503)
  point('real')
  expect(await post(app.url)).toBe(200)
})

test.each([
  [
    'a file with two names',
    (f: string) => linkSync(join(f, 'real/x.db'), join(f, 'y.db')),
    'y.db',
    /hard links/,
  ],
  [
    'a folder that leads to nothing',
    (f: string) => symlinkSync('/nowhere', join(f, 'cfg')),
    'cfg/x.db',
    /cfg is a link to what/,
  ],
  [
    'a link to itself',
    (f: string) => symlinkSync('x.db', join(f, 'x.db')),
    'x.db',
    /x\.db is a link to what/,
  ],
])('%s is refused at the start', async (_, make, name, said) => {
  const { folder } = await linked(() => '')
  make(folder)
  expect(await refusal(`sqlite:${folder}/${name}`)).toMatch(said)
})

test('the program ends with 1 for a link to itself, and says so', async () => {
  const folder = testFolder()
  symlinkSync('x.db', join(folder, 'x.db'))
  const app = await startMain({ folder, env: { DATABASE_URL: 'sqlite:x.db' } })
  expect(await app.ended).toBe(1)
  expect(app.output.err).toMatch(/x\.db is a link to what/)
})
