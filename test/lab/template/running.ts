import { join } from 'node:path'
import pg from 'pg'
import { signedHeaders } from '../../../src/webhooks/verify/send.ts'
import { freePort } from '../../helpers/ports.ts'
import { type PostgresServer, startPostgres } from '../../helpers/postgres.ts'
import { launch } from '../../helpers/stage.ts'
import { until } from '../../helpers/wait.ts'
import { signedDelivery } from '../../helpers/webhook.ts'
import { github } from '../../webhooks/senders/github.ts'

const SECRETS = { webhook: 'webhook-secret-of-badges', github: 'github-secret-of-badges' }

/** The settings of somebody who has registered with the real platform, which nobody asks anything here. */
const SETTINGS = {
  REVENTO_CLIENT_ID: 'badges',
  REVENTO_CLIENT_SECRET: 'client-secret-of-badges',
  REVENTO_WEBHOOK_SECRET: SECRETS.webhook,
  REVENTO_AUTH_BASE: 'http://127.0.0.1:9',
  REVENTO_API_BASE: 'http://127.0.0.1:9/api/v1',
  GITHUB_WEBHOOK_SECRET: SECRETS.github,
  APP_NAME: 'Badges',
  BADGE_OFFICE: 'Hall 2',
  SYNC_EVERY_HOURS: '0',
}

/** The databases of one project, by the name of the store. */
export type Stores = Readonly<Record<'sqlite' | 'postgres', string>>

/** One of each for each project; the server is started once. */
export async function createStores() {
  const given = process.env['TEST_DATABASE_URL']
  const server: Pick<PostgresServer, 'url' | 'stop'> = given
    ? { url: given, stop: async () => {} }
    : await startPostgres()
  const made: string[] = []
  const onServer = async (sql: string) => {
    const client = new pg.Client(server.url)
    await client.connect()
    await client.query(sql).finally(() => client.end())
  }
  return {
    async open(folder: string): Promise<Stores> {
      const name = `revento_template_${process.pid}_${made.length}`
      await onServer(`create database ${name}`)
      made.push(name)
      const url = new URL(server.url)
      url.pathname = name
      return { sqlite: `sqlite:${join(folder, '..', `${name}.db`)}`, postgres: url.href }
    },
    async close() {
      for (const name of made) await onServer(`drop database ${name} with (force)`)
      await server.stop()
    },
  }
}

/** Runs the project, has a webhook of Revento's and one of the builder's sender handled, and resolves with who has a badge. */
export async function runProject(
  folder: string,
  databaseUrl: string,
  participant: string,
): Promise<string[]> {
  const port = String(await freePort())
  const env = { ...SETTINGS, PORT: port, DATABASE_URL: databaseUrl }
  const app = launch(['src/main.ts'], { cwd: folder, env })
  try {
    await app.says('Ready: open')
    const url = `http://127.0.0.1:${port}`
    const event = { data: { id: `app_${participant}`, participant_id: participant, status: 'approved' } }
    await deliver(`${url}/webhooks/revento`, signedDelivery({ secret: SECRETS.webhook, event }))
    await deliver(`${url}/webhooks/github`, pushed(participant))
    const hasBoth = (holders: string[]) => [participant, 'github'].every(one => holders.includes(one))
    const badges = async () => (await (await fetch(`${url}/app/badges`)).json()) as Badges
    await until(async () => hasBoth((await badges()).holders), 20_000)
    await app.says('badges were counted')
    const { office, holders } = await badges()
    if (office !== SETTINGS.BADGE_OFFICE) throw new Error(`the setting of the builder is lost: ${office}`)
    return holders
  } catch (error) {
    throw new Error(`on ${databaseUrl}: ${app.output.out.slice(-2000)}${app.output.err}`, { cause: error })
  } finally {
    await app.stop()
  }
}

interface Badges {
  readonly office: string
  readonly holders: string[]
}

function pushed(id: string) {
  const body = Buffer.from(github.example({ type: 'push', id, at: Date.now() }))
  const signed = {
    provider: github,
    secret: SECRETS.github,
    body,
    type: 'push',
    deliveryId: id,
    at: Date.now(),
  }
  return { body, headers: signedHeaders(signed) }
}

/** As a sender does: what a busy machine refuses for now is sent again. */
async function deliver(url: string, o: { body: Buffer; headers: Record<string, string> }): Promise<void> {
  const status = await until(async () => {
    const answer = await fetch(url, { method: 'POST', ...o, body: new Uint8Array(o.body) })
    return answer.status !== 503 && answer.status
  })
  if (status !== 200 && status !== 202) throw new Error(`${url} answered ${String(status)}`)
}

/** Inside the project: its database as an older release left it, with what the builder stored. */
const AGE = `
import { sql } from 'kysely'
import { systemRuntime } from './src/process/runtime.ts'
import { migrations } from './src/integration/migrations/index.ts'
import { openDatabase } from './src/storage/open.ts'
import { migrateOwn } from './src/storage/own-migrations.ts'
import { sqliteStore } from './src/storage/database.ts'
import { takeBack } from './test/helpers/older-schema.ts'
const [url] = process.argv.slice(1)
const isFile = url.startsWith('sqlite:')
const store = isFile ? sqliteStore(url.slice(7)) : { kind: 'postgres', url }
const { query, close } = await openDatabase(store, systemRuntime)
const rows = await query.selectFrom('app_badges').selectAll().execute()
await takeBack(query, '020', ['inbox'])
if (!isFile) await sql\`select setval(pg_get_serial_sequence('inbox', 'id'), (select max(id) from inbox))\`.execute(query)
await migrateOwn(query, migrations, isFile ? {} : { schema: 'public' })
await query.insertInto('app_badges').values(rows).execute()
await close()
`

/** Takes the database back to the schema of migration 020. */
export async function age(folder: string, databaseUrl: string): Promise<void> {
  const child = launch(['--input-type=module', '-e', AGE, databaseUrl], { cwd: folder })
  if ((await child.ended) !== 0) throw new Error(`the database cannot be taken back: ${child.output.err}`)
}
