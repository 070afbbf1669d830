import type { FastifyPluginAsync } from 'fastify'
import { errorBody } from './errors.ts'
import type { Runtime } from './runtime.ts'
import type { Database } from './storage/database.ts'
import { StorageError } from './storage/storage-error.ts'
import type { Inbox } from './webhooks/inbox.ts'

export interface HealthOptions {
  readonly database: Database
  readonly inbox: Pick<Inbox, 'trouble'>
  readonly runtime: Pick<Runtime, 'monotonic' | 'sleep'>
}

/** A probe writes; asked more often than this, /ready repeats its last answer. */
const PROBE_EVERY_MS = 500
/** Somebody who asks at least this often is a balancer. */
const WATCHED_MS = 30_000
const NOTICE_MS = 2_000

/** GET /health: the process answers. GET /ready: it can also store what comes in. */
export const health: FastifyPluginAsync<HealthOptions> = async (app, { database, inbox, runtime }) => {
  let draining = false
  let askedAt = Number.NEGATIVE_INFINITY
  // Readiness goes first. Where it is watched, the listener stays open a moment longer: the balancer takes this process
  // out before a caller meets a closed port.
  app.addHook('preClose', async () => {
    draining = true
    if (runtime.monotonic() - askedAt < WATCHED_MS) await runtime.sleep(NOTICE_MS)
  })
  let probed = { at: Number.NEGATIVE_INFINITY, trouble: Promise.resolve<string | undefined>(undefined) }
  const trouble = () => {
    if (draining) return Promise.resolve('draining')
    const now = runtime.monotonic()
    if (now - probed.at >= PROBE_EVERY_MS) probed = { at: now, trouble: probe(database) }
    return probed.trouble
  }
  app.get('/health', { exposeHeadRoute: true }, async () => ({ status: 'ok' }))
  app.get('/ready', { exposeHeadRoute: true }, async (request, reply) => {
    askedAt = runtime.monotonic()
    const reason = (await trouble()) ?? inbox.trouble()
    if (reason === undefined) return { status: 'ok' }
    const code = reason === 'draining' ? 'shutting_down' : 'storage_unavailable'
    request.outcome = { reason }
    return reply
      .code(503)
      .header('retry-after', '2')
      .header('cache-control', 'no-store')
      .send({ ...errorBody(code, request.id), reason })
  })
}

const probe = (database: Database): Promise<string | undefined> =>
  database.probe().then(
    () => undefined,
    error => (error instanceof StorageError ? error.code : 'storage_failed'),
  )
