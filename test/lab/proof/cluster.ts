import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { createLines } from '../../../src/process/logger.ts'
import { systemRuntime as runtime } from '../../../src/process/runtime.ts'
import { createOutgoing } from '../../../src/revento/http.ts'
import { startSandbox } from '../../../src/sandbox/index.ts'
import { revento } from '../../../src/webhooks/providers/revento.ts'
import { startPostgres } from '../../helpers/postgres.ts'
import { SECRET, type Server, startApp } from '../bench/processes.ts'

/** No instance has this address: a balancer would, and what comes back goes to any of them. */
const NOWHERE = 'http://app.test'
const NOT_HERE = 'http://127.0.0.1:9'

export interface Cluster {
  /** Origins, one for each process. */
  readonly apps: readonly { url: string; kill(): Promise<void>; stop(): Promise<number | null> }[]
  readonly sandboxUrl: string
  readonly database: pg.Client
  stop(): Promise<void>
}

/**
 * PostgreSQL (the one that is given, else one of our own), the sandbox, and app processes that share both. `origin`:
 * where a balancer stands before them; the sandbox sends browsers and webhooks there.
 */
export async function startCluster(
  count: number,
  given: string | undefined,
  origin?: string,
): Promise<Cluster> {
  const redirectUri = `${origin ?? NOWHERE}/callback`
  const folder = mkdtempSync(join(tmpdir(), 'revento-proof-'))
  const server = given ? { url: given, stop: async () => {} } : await startPostgres()
  const database = await ownDatabase(server.url)
  const sandbox = await startSandbox({
    host: '127.0.0.1',
    port: 0,
    clientId: 'bench',
    clientSecret: 'client-secret-bench',
    redirectUri,
    // Without a balancer, its own webhooks are not what is counted.
    senders: [{ provider: revento, secret: SECRET, url: `${origin ?? NOT_HERE}/webhooks/revento` }],
    production: false,
    runtime,
    dispatcher: createOutgoing().api,
    log: createLines('silent', () => {}),
  })
  const env = {
    DATABASE_URL: database.url,
    ENCRYPTION_KEY: runtime.bytes(32).toString('base64'),
    REVENTO_AUTH_BASE: sandbox.url,
    REVENTO_API_BASE: `${sandbox.url}/api/v1`,
    REVENTO_REDIRECT_URI: redirectUri,
    REVENTO_EVENT_ID: 'evt_test_published',
    SYNC_EVERY_HOURS: '24',
  }
  // At once: one of them makes the tables.
  const apps = await Promise.all(Array.from({ length: count }, () => startApp(folder, env)))
  return {
    apps: apps.map(app => ({
      url: new URL(app.url).origin,
      kill: async () => void (await app.stop('SIGKILL')),
      stop: () => app.stop(),
    })),
    sandboxUrl: sandbox.url,
    database: database.client,
    async stop() {
      await Promise.all(apps.map(stopped))
      await sandbox.close()
      await database.drop()
      await server.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Also one that was killed. */
const stopped = (app: Server) => (app.isRunning() ? app.stop() : undefined)

async function ownDatabase(server: string) {
  const name = `revento_proof_${process.pid}`
  const admin = new pg.Client(server)
  await admin.connect()
  await admin.query(`create database ${name}`)
  const { href: url } = Object.assign(new URL(server), { pathname: name })
  const client = new pg.Client(url)
  await client.connect()
  const drop = async () => {
    await client.end()
    await admin.query(`drop database ${name} with (force)`)
    await admin.end()
  }
  return { url, client, drop }
}
