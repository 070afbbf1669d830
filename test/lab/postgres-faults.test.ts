import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, connect as dial, type Socket } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { createClient } from '../helpers/client.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres.ts'
import { until } from '../helpers/wait.ts'
import { createStage, expectNothingLost } from '../postgres/faults-stage.ts'

/** A server of this file's own: it is crashed. */
let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server.stop())
const { at, admin, start, cut } = createStage(() => server.url)

test('an immediate restart: 503 meanwhile, and 200 within 5 s after', { timeout: 40_000 }, async () => {
  const app = await start()
  await server.crash()
  for (let i = 0; i < 3; i++) {
    const answer = await app.send()
    expect([answer.status, answer.text]).toEqual([503, expect.stringContaining('storage_unavailable')])
  }
  expect(await app.ready()).toEqual([503, 'database_unreachable'])
  await server.start()
  expect(await app.recovers()).toBeLessThan(5_000)
  await expectNothingLost(app, 2)
})

test('a connection that goes silent: 503 within 10 s, and 200 within 5 s after', {
  timeout: 60_000,
}, async () => {
  const silence = await silentProxy(Number(new URL(server.url).port))
  const app = await start(url => Object.assign(new URL(url), { port: String(silence.port) }).href)
  silence.begin()
  const begun = performance.now()
  const answers = await Promise.all(Array.from({ length: 30 }, () => app.send()))
  expect(new Set(answers.map(answer => answer.status))).toEqual(new Set([503]))
  expect(performance.now() - begun).toBeLessThan(10_000)
  silence.end()
  expect(await app.recovers()).toBeLessThan(5_000)
  await expectNothingLost(app, 2)
})

test('a pool of connections that all died unnoticed: 200 within 5 s', { timeout: 60_000 }, async () => {
  const silence = await silentProxy(Number(new URL(server.url).port))
  const app = await start(url => Object.assign(new URL(url), { port: String(silence.port) }).href)
  const client = createClient()
  await Promise.all(Array.from({ length: 20 }, () => client.get(`${app.url}/connect`)))
  // The network is back at once, and knows nothing of them any more.
  silence.begin()
  silence.end()
  expect(await app.recovers()).toBeLessThan(5_000)
  await expectNothingLost(app, 2)
})

test('every connection held by statements that wait: 503, and 200 within 5 s after', {
  timeout: 60_000,
}, async () => {
  const app = await start()
  const holder = new pg.Client(at(app.name))
  await holder.connect()
  await holder.query('begin; lock table inbox, health, flows in access exclusive mode')
  const client = createClient()
  const pages = Array.from({ length: 30 }, () => client.get(`${app.url}/connect`))
  const [answer, ...others] = await Promise.all([app.send(), ...pages])
  expect(answer?.status).toBe(503)
  expect(new Set(others.map(page => page.status))).toEqual(new Set([503]))
  expect((await app.ready())[0]).toBe(503)
  await holder.end()
  expect(await app.recovers()).toBeLessThan(5_000)
  await expectNothingLost(app, 2)
})

test('a server that is read-only: 503 that says so, and 200 within 5 s after', {
  timeout: 40_000,
}, async () => {
  const app = await start()
  const setReadOnly = async (on: boolean) => {
    await admin(`alter database ${app.name} set default_transaction_read_only = ${on}`)
    await cut(app)
  }
  await setReadOnly(true)
  await until(async () => (await app.ready())[1] === 'database_read_only')
  expect((await app.send()).status).toBe(503)
  await setReadOnly(false)
  expect(await app.recovers()).toBeLessThan(5_000)
  await expectNothingLost(app, 2)
})

test('a server that restarts as a standby: 503 that says read-only, and 200 within 5 s after its promotion', {
  timeout: 60_000,
}, async () => {
  const app = await start()
  const data = (await admin('show data_directory')).rows[0].data_directory
  await server.crash()
  writeFileSync(join(data, 'standby.signal'), '')
  await server.start()
  await until(async () => (await app.ready())[1] === 'database_read_only')
  expect((await app.send()).status).toBe(503)
  await admin('select pg_promote()')
  expect(await app.recovers()).toBeLessThan(5_000)
  await expectNothingLost(app, 2)
})

test('another server behind the same address, while the old one still answers: 200 within 5 s', {
  timeout: 60_000,
}, async () => {
  const door = await silentProxy(Number(new URL(server.url).port))
  const app = await start(url => Object.assign(new URL(url), { port: String(door.port) }).href)
  // As a replica is: the same rows up to here, and nothing that is written to the old one from now on.
  await admin(`alter database ${app.name} set default_transaction_read_only = on`)
  await server.crash()
  const other = await server.copied()
  onTestFinished(() => other.stop())
  await server.start()
  await until(async () => (await app.ready())[1] === 'database_read_only')
  const theirs = new pg.Client(other.url)
  await theirs.connect()
  await theirs.query(`alter database ${app.name} reset default_transaction_read_only`)
  await theirs.end()
  door.leadTo(Number(new URL(other.url).port))
  expect(await app.recovers()).toBeLessThan(5_000)
  await expectNothingLost(app, 2)
})

test.for([
  ['a password that was changed', `password 'other'`, `password 'canary'`, 'database_login_refused'],
  ['no connection left for its role', 'connection limit 0', 'connection limit -1', 'too_many_connections'],
] as const)(
  '%s: 503 that says so, and 200 within 5 s after it is undone',
  {
    timeout: 40_000,
  },
  async ([, broken, mended, reason], { onTestFinished }) => {
    const role = `role_${broken.length}`
    await admin(`create role ${role} login password 'canary'`)
    onTestFinished(await onlyWithPassword(role))
    const own = (url: string) => Object.assign(new URL(url), { username: role, password: 'canary' }).href
    const app = await start(own, role)
    await admin(`alter role ${role} ${broken}`)
    await cut(app)
    await until(async () => (await app.ready())[1] === reason)
    for (let i = 0; i < 3; i++) expect((await app.send()).status).toBe(503)
    await admin(`alter role ${role} ${mended}`)
    expect(await app.recovers()).toBeLessThan(5_000)
    await expectNothingLost(app, 2)
    expect(JSON.stringify(app.log)).not.toContain('canary')
  },
)

/** The test's server trusts everybody; gives what undoes it. */
async function onlyWithPassword(role: string): Promise<() => Promise<void>> {
  const { hba_file: file } = (await admin('show hba_file')).rows[0]
  const before = readFileSync(file, 'utf8')
  writeFileSync(file, `host all ${role} 127.0.0.1/32 scram-sha-256\n${before}`)
  await admin('select pg_reload_conf()')
  return async () => writeFileSync(file, before)
}

test('a role that may not connect any more is told when it is opened', async () => {
  await admin('create role limited login connection limit 0')
  const url = Object.assign(new URL(server.url), { username: 'limited' }).href
  const opened = openDatabase({ kind: 'postgres', url }, runtime)
  await expect(opened).rejects.toMatchObject({ name: 'StorageError', code: 'too_many_connections' })
})

/** Passes everything on until `begin`; then takes bytes and gives none, as a network does that lost its other end. */
async function silentProxy(target: number) {
  let silent = false
  let to = target
  const sockets = new Set<Socket>()
  const proxy = createServer(inside => {
    sockets.add(inside)
    inside.on('error', () => {})
    if (silent) return
    const outside = dial(to, '127.0.0.1')
    outside.on('error', () => {})
    sockets.add(outside)
    // Those from before never speak again, also when the network is back.
    inside.on('data', chunk => void (inside.writableNeedDrain || quiet.has(inside) || outside.write(chunk)))
    outside.on('data', chunk => void (quiet.has(inside) || inside.write(chunk)))
    inside.on('close', () => outside.destroy())
    outside.on('close', () => quiet.has(inside) || inside.destroy())
  })
  const quiet = new Set<Socket>()
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  const address = proxy.address()
  return {
    port: typeof address === 'object' ? address?.port : 0,
    begin() {
      silent = true
      for (const socket of sockets) quiet.add(socket)
    },
    end() {
      silent = false
    },
    /** New connections go there; those that stand stay as they are. */
    leadTo(port: number) {
      to = port
    },
  }
}
