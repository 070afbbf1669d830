import type { FastifyPluginAsync } from 'fastify'
import { errorBody } from './errors.ts'
import type { Runtime } from './runtime.ts'
import type { Database } from './storage/database.ts'
import { StorageError } from './storage/storage-error.ts'
import type { Inbox } from './webhooks/inbox.ts'

export interface HealthOptions {
  /** Why nothing can be stored now: a code; undefined when all is well. */
  readonly trouble: () => Promise<string | undefined>
}

/** A probe writes; asked more often than this, it repeats its last answer. */
const PROBE_EVERY_MS = 500

/** Tries to store something; a delivery that could not be stored a moment ago counts too. */
export function createProbe(
  database: Database,
  inbox: Pick<Inbox, 'trouble'>,
  runtime: Pick<Runtime, 'monotonic'>,
) {
  let probed = { at: Number.NEGATIVE_INFINITY, trouble: Promise.resolve<string | undefined>(undefined) }
  return async () => {
    const now = runtime.monotonic()
    if (now - probed.at >= PROBE_EVERY_MS) probed = { at: now, trouble: probe(database) }
    return (await probed.trouble) ?? inbox.trouble()
  }
}

/** GET /health: the process answers. GET /ready: it can also store what comes in. */
export const health: FastifyPluginAsync<HealthOptions> = async (app, { trouble }) => {
  let draining = false
  app.addHook('preClose', async () => {
    draining = true
  })
  app.get('/health', { exposeHeadRoute: true }, async () => ({ status: 'ok' }))
  app.get('/ready', { exposeHeadRoute: true }, async (request, reply) => {
    const reason = draining ? 'draining' : await trouble()
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
