import type { FastifyPluginAsync } from 'fastify'
import { StorageError } from '../process/errors.ts'
import type { Runtime } from '../process/runtime.ts'
import type { Database } from '../storage/database.ts'
import { type ErrorCode, errorBody } from './errors.ts'

export interface HealthOptions {
  /** The code of why nothing can be stored or handled now; undefined when all is well. */
  readonly trouble: () => Promise<string | undefined>
  readonly runtime: Pick<Runtime, 'monotonic' | 'sleep'>
}

/** A probe writes, so it repeats its last answer when it is called more often than this. */
const PROBE_EVERY_MS = 500
/** A caller of /ready that comes at least this often is a balancer. */
const WATCHED_MS = 30_000
const NOTICE_MS = 2_000

const NOT_CLAIMED = 'deliveries_not_claimed'
const CODES: Record<string, ErrorCode> = { draining: 'shutting_down', [NOT_CLAIMED]: 'not_handling' }
/** Deliveries count as stalled after this time, which is longer than storage takes to fail. */
const STALLED_MS = 15_000

/**
 * Finds trouble by storing something. A delivery that could not be stored a moment ago is trouble too, and so are
 * deliveries that wait while nothing can be claimed: an app that stores them and never handles them is not ready.
 */
export function createProbe(
  database: Database,
  inbox: { trouble(): string | undefined },
  handling: { stalledMs(): number; waiting(): number },
  runtime: Pick<Runtime, 'monotonic'>,
) {
  let probed = { at: Number.NEGATIVE_INFINITY, trouble: Promise.resolve<string | undefined>(undefined) }
  return async () => {
    const now = runtime.monotonic()
    if (now - probed.at >= PROBE_EVERY_MS) probed = { at: now, trouble: probe(database) }
    const stalled = handling.waiting() > 0 && handling.stalledMs() > STALLED_MS
    return (await probed.trouble) ?? inbox.trouble() ?? (stalled ? NOT_CLAIMED : undefined)
  }
}

/** GET /health says that the process answers; GET /ready, that it can also store deliveries and handle them. */
export const health: FastifyPluginAsync<HealthOptions> = async (app, { trouble, runtime }) => {
  let draining = false
  let askedAt = Number.NEGATIVE_INFINITY
  // Readiness ends first. While a balancer watches it, the listener stays open a moment longer, so that the balancer
  // takes this process out before a caller meets a closed port.
  app.addHook('preClose', async () => {
    draining = true
    if (runtime.monotonic() - askedAt < WATCHED_MS) await runtime.sleep(NOTICE_MS)
  })
  app.get('/health', { exposeHeadRoute: true }, async () => ({ status: 'ok' }))
  app.get('/ready', { exposeHeadRoute: true }, async (request, reply) => {
    askedAt = runtime.monotonic()
    const reason = draining ? 'draining' : await trouble()
    if (reason === undefined) return { status: 'ok' }
    const code = CODES[reason] ?? 'storage_unavailable'
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
