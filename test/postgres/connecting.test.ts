import { chownSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { storageAdvice } from '../../src/storage/advice.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { authority } from '../hardening/certificates.ts'
import { freePort } from '../helpers/ports.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres.ts'
import { startMain } from '../helpers/program.ts'

/** Whom the server lets in: `refused` never, `over_tls` only so, `secret` with a password, all others at once. */
const HBA = `
host all refused 127.0.0.1/32 reject
hostssl all over_tls 127.0.0.1/32 trust
hostnossl all over_tls 127.0.0.1/32 reject
host all secret 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
`

let server: PostgresServer
let data: string
beforeAll(async () => {
  server = await startPostgres()
  const { rows } = await admin('show hba_file')
  data = dirname(rows[0].hba_file)
  writeFileSync(rows[0].hba_file, HBA)
  await admin(`create role refused login; create role over_tls login; create role single login connection limit 0;
    create role secret login password 'right'; create role "odd ""role" login; create role outside login`)
  await admin('create database closed')
  await admin('revoke connect on database closed from public; select pg_reload_conf()')
})
afterAll(() => server.stop())

async function admin(sql: string, database = 'postgres'): Promise<pg.QueryResult> {
  const client = new pg.Client(url({ database }))
  await client.connect()
  return client.query(sql).finally(() => client.end())
}

function url(o: { user?: string; password?: string; host?: string; database?: string; query?: string }) {
  const made = new URL(server.url)
  made.username = o.user ?? 'app'
  made.password = o.password ?? ''
  made.host = o.host ?? made.host
  made.pathname = o.database ?? 'postgres'
  return `${made.href}${o.query ?? ''}`
}

/** What the operator reads of a start with this URL. */
async function said(address: string): Promise<string> {
  const store = { kind: 'postgres', url: address } as const
  const opened = openDatabase(store, runtime)
  const error = await opened.then(
    database => database.close().then(() => new Error('it was opened')),
    (failed: unknown) => failed,
  )
  return storageAdvice(error, store) ?? String(error)
}

test.each<[string, Parameters<typeof url>[0], RegExp]>([
  [
    'nobody listens',
    { host: '127.0.0.1:9' },
    /unreachable \(connect ECONNREFUSED 127\.0\.0\.1:9\)\. Start PostgreSQL at/,
  ],
  [
    'two addresses where nobody listens',
    { host: 'localhost:9' },
    /\((.*ECONNREFUSED.*)\)\. Start PostgreSQL at localhost:9/,
  ],
  [
    'a name without an address',
    { host: 'nowhere.invalid' },
    /host_not_found .*No address is known for nowhere\.invalid:/,
  ],
  [
    'a server without TLS',
    { query: '?sslmode=require' },
    /without_tls .*Set ssl = on at the server; or, .* take sslmode out/,
  ],
  [
    'a home folder for the authority',
    { query: '?sslrootcert=~/ca.pem' },
    /\(ENOENT.*Give the whole path of a file/,
  ],
  [
    'a wrong password',
    { user: 'secret', password: 'Zq9wrong' },
    /password authentication failed.*\\password "secret"$/,
  ],
  ['no password', { user: 'secret' }, /login_refused .*Correct user and password in DATABASE_URL/],
  ['an unknown role', { user: 'stranger' }, /role "stranger" does not exist.*Correct user and password/],
  [
    'a database that is not there',
    { database: 'a%22b' },
    /type in psql: CREATE DATABASE "a""b" OWNER "app";$/,
  ],
  [
    'a role that pg_hba.conf refuses',
    { user: 'refused' },
    /pg_hba\.conf rejects.*Let it in with a line in pg_hba\.conf/,
  ],
  [
    'a role that has to come over TLS',
    { user: 'over_tls' },
    /no encryption\)\. .*wants TLS, add \?sslmode=verify-full/,
  ],
  ['no connection left', { user: 'single' }, /too many connections for role.*raise max_connections/],
  [
    'a database that the role may not enter',
    { user: 'outside', database: 'closed' },
    /GRANT CONNECT ON DATABASE "closed" TO "outside";$/,
  ],
])('%s: told apart from the others, with its cause and what to type', async (_, o, words) => {
  const text = await said(url(o))
  expect(text).toMatch(words)
  expect(text).not.toContain('Zq9')
})

test('a certificate of an unknown authority: the authority to give, with which it starts', async () => {
  const own = authority()
  const { cert, key } = own.issue('localhost')
  for (const [name, text] of [
    ['cert', cert],
    ['key', key],
  ] as const) {
    const file = join(data, `tls.${name}`)
    writeFileSync(file, text, { mode: 0o600 })
    if (process.getuid?.() === 0) chownSync(file, statSync(data).uid, statSync(data).gid)
  }
  for (const set of [`ssl_cert_file = 'tls.cert'`, `ssl_key_file = 'tls.key'`, 'ssl = on'])
    await admin(`alter system set ${set}`)
  await admin('select pg_reload_conf()')
  const { port } = new URL(server.url)
  const host = `localhost:${port}`
  expect(await said(url({ host, query: '?sslmode=require' }))).toMatch(
    /certificate_refused \(.*\)\. .*\?sslmode=verify-full&sslrootcert=/,
  )
  const query = `?sslmode=verify-full&sslrootcert=${own.file}`
  expect(await said(url({ host: `127.0.0.1:${port}`, query }))).toMatch(
    /certificate_refused \(Hostname\/IP does not/,
  )
  expect(await said(url({ host, query }))).toBe('Error: it was opened')
})

test('a role that may make no tables: the GRANT to type, after which it starts; the password is not shown', async () => {
  await admin('create database fresh')
  const address = url({ user: '', database: 'fresh' }).replace('//', '//odd%20%22role:Zq9pass@')
  const app = await startMain({ env: { DATABASE_URL: address, PORT: String(await freePort()) } })
  expect(await app.ended).toBe(1)
  expect(app.output.err).toMatch(/The role "odd ""role" may not make tables in the schema public of fresh\./)
  expect(app.output.err).not.toMatch(/Zq9|\n +at /)
  const grant = app.output.err.split('\n').find(line => line.startsWith('  GRANT')) ?? ''
  expect(grant).toBe('  GRANT USAGE, CREATE ON SCHEMA public TO "odd ""role";')
  await admin(grant, 'fresh')
  expect(await said(address)).toBe('Error: it was opened')
})

test('a role that does not see the schema, or whose schema is not there: the statements to type', async () => {
  await admin('create database hidden')
  await admin('revoke all on schema public from public', 'hidden')
  for (const [query, schema] of [
    ['', 'public'],
    ['?options=-csearch_path%3Dapp_data', 'app_data'],
  ] as const) {
    const address = url({ user: 'outside', database: 'hidden', query })
    const text = await said(address)
    expect(text).toContain(`may not make tables in the schema ${schema} of hidden.`)
    await admin(
      text
        .split('\n')
        .filter(line => line.startsWith('  '))
        .join('\n'),
      'hidden',
    )
    expect(await said(address)).toBe('Error: it was opened')
  }
})

test('tables of another role: nothing is granted, the other role is to be used', async () => {
  await admin('create database owned; ')
  expect(await said(url({ database: 'owned' }))).toBe('Error: it was opened')
  await admin('grant create on schema public to outside', 'owned')
  const text = await said(url({ user: 'outside', database: 'owned' }))
  expect(text).toMatch(/permission_denied \(permission denied for table .*Use the role that owns the tables/)
})
