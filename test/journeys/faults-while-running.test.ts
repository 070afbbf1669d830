import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { request } from 'undici'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { fileOf, startApp, type TestApp, WEBHOOK_SECRET } from '../helpers/app.ts'
import { startMain } from '../helpers/program.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'

const REAL = {
  REVENTO_CLIENT_ID: 'client-for-tests',
  REVENTO_CLIENT_SECRET: 'client-secret-for-tests',
  REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
}

async function post(url: string) {
  const id = crypto.randomUUID()
  const { body, headers } = signedDelivery({ id })
  const answer = await request(`${url}/webhooks/revento`, { method: 'POST', body, headers })
  await answer.body.dump()
  return { id, status: answer.statusCode, retryAfter: answer.headers['retry-after'] }
}

async function ready(url: string) {
  const answer = await fetch(`${url}/ready`)
  return [answer.status, ((await answer.json()) as { reason?: string }).reason]
}

/** As `sqlite3 FILE` does, beside the app. */
function elsewhere(path: string, sql: string): unknown[] {
  const other = new DatabaseSync(path, { timeout: 5000 })
  try {
    return other.prepare(sql).all()
  } finally {
    other.close()
  }
}

function replace(path: string): void {
  copyFileSync(path, `${path}.copy`)
  renameSync(`${path}.copy`, path)
}

type Row = [what: string, damage: (db: string) => void, reason: string]
const ROWS: Row[] = [
  ['the file deleted', db => rmSync(db), 'database_file_replaced'],
  ['the file replaced by another database', replace, 'database_file_replaced'],
  [
    'the file replaced by a folder',
    db => {
      rmSync(db)
      mkdirSync(db)
    },
    'database_file_replaced',
  ],
  ['its folder moved', db => renameSync(dirname(db), `${dirname(db)}.moved`), 'database_file_replaced'],
  ['the file emptied', db => truncateSync(db), 'not_a_database'],
  ['the file cut in half', db => truncateSync(db, Math.floor(statSync(db).size / 2)), 'database_corrupt'],
  ['the log deleted', db => rmSync(`${db}-wal`), 'database_log_replaced'],
  ['the log replaced', db => replace(`${db}-wal`), 'database_log_replaced'],
  ['the log emptied', db => truncateSync(`${db}-wal`), 'database_log_truncated'],
  ['the log cut', db => truncateSync(`${db}-wal`, 5000), 'database_log_truncated'],
  ['the index of the log deleted', db => rmSync(`${db}-shm`), 'database_log_replaced'],
  ['the index of the log emptied', db => truncateSync(`${db}-shm`), 'database_log_truncated'],
]

/** Closed together: where /ready was asked, that takes two seconds. */
const apps: TestApp[] = []
afterAll(() => Promise.all(apps.map(app => app.close())))

test.each(ROWS)(
  '%s: 503 and never 200, /ready says why, nothing is made again',
  async (_, damage, reason) => {
    const app = await startApp()
    apps.push(app)
    const db = fileOf(app)
    expect((await post(app.url)).status).toBe(200)
    // Now the file has pages to lose; then the log has.
    elsewhere(db, 'pragma wal_checkpoint(full)')
    expect((await post(app.url)).status).toBe(200)
    // A handler at work would have the end wait for it.
    await until(() => elsewhere(db, `select 1 from inbox where state <> 'done'`).length === 0)
    const outer = dirname(dirname(db))
    damage(db)
    const left = readdirSync(outer, { recursive: true })
    for (let n = 0; n < 5; n++) expect(await post(app.url)).toMatchObject({ status: 503, retryAfter: '2' })
    // Within half a second it repeats its last answer.
    await until(async () => (await fetch(`${app.url}/ready`)).status === 503)
    expect(await ready(app.url)).toEqual([503, reason])
    expect((await fetch(`${app.url}/health`)).status).toBe(200)
    expect(readdirSync(outer, { recursive: true })).toEqual(left)
  },
)

test('what others may do to the files is taken: checkpoints that empty the log, a vacuum, a move there and back', async () => {
  const app = await startApp()
  onTestFinished(() => app.close())
  const db = fileOf(app)
  const acknowledged = new Set<string>()
  const stored = async () => {
    const { id, status } = await post(app.url)
    expect(status).toBe(200)
    acknowledged.add(id)
  }
  elsewhere(db, 'create table ballast as select randomblob(2000000) b')
  await stored()
  elsewhere(db, 'pragma wal_checkpoint(truncate)')
  expect(statSync(`${db}-wal`).size).toBe(0)
  await stored()
  elsewhere(db, 'drop table ballast')
  elsewhere(db, 'vacuum')
  const before = statSync(db).size
  elsewhere(db, 'pragma wal_checkpoint(truncate)')
  expect(statSync(db).size).toBeLessThan(before)
  await stored()
  for (const path of [db, `${db}-wal`]) {
    renameSync(path, `${path}.away`)
    expect((await post(app.url)).status).toBe(503)
    renameSync(`${path}.away`, path)
    await stored()
  }
  const rows = elsewhere(db, 'select delivery_id from inbox') as { delivery_id: string }[]
  expect(new Set(rows.map(row => row.delivery_id))).toEqual(acknowledged)
})

test('a page that is damaged while the app runs: once it is met nothing is taken, and the files stay as they are', async () => {
  const app = await startApp()
  const db = fileOf(app)
  const pages = Math.floor(statSync(db).size / 4096)
  elsewhere(db, MANY_ROWS)
  elsewhere(db, 'pragma wal_checkpoint(truncate)')
  const file = openSync(db, 'r+')
  for (let page = pages + 2; page < statSync(db).size / 4096; page++)
    writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, page * 4096)
  closeSync(file)
  const damaged = readFileSync(db)
  const met = app.database.query.selectFrom('participants').select('name').execute()
  await expect(met).rejects.toMatchObject({ code: 'database_corrupt' })
  for (let n = 0; n < 3; n++) expect((await post(app.url)).status).toBe(503)
  expect(await ready(app.url)).toEqual([503, 'database_corrupt'])
  await app.app.close()
  expect(readFileSync(db)).toEqual(damaged)
  expect(existsSync(`${db}-wal`)).toBe(true)
})

const MANY_ROWS = `insert into participants
  (platform, event_id, organization_id, participant_id, last_type, occurred_at, last_delivery, updated_at)
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) select 'real', 'evt', 'org', 'ptp_' || i, 't', '', 0, 0 from n`

test('the log deleted under the real program: an orderly stop puts into the file what the log held', async () => {
  const app = await startMain({ env: REAL })
  await app.says('Ready')
  const acknowledged = new Set<string>()
  for (let n = 0; n < 10; n++) {
    const { id, status } = await post(app.url)
    expect(status).toBe(200)
    acknowledged.add(id)
  }
  const db = join(app.folder, 'data', 'test.db')
  rmSync(`${db}-wal`)
  expect((await post(app.url)).status).toBe(503)
  app.process.kill('SIGTERM')
  expect(await app.ended).toBe(0)
  expect(existsSync(`${db}-wal`)).toBe(false)
  const rows = elsewhere(db, 'select delivery_id from inbox') as { delivery_id: string }[]
  expect(new Set(rows.map(row => row.delivery_id))).toEqual(acknowledged)
})
