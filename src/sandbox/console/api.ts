import type { FastifyInstance } from 'fastify'
import type { Context } from '../context.ts'
import type { Faults } from '../faults/faults.ts'
import { fieldsOf } from '../fields.ts'
import type { Installation } from '../state.ts'
import { listed } from '../webhooks/delivery.ts'
import { ACTIONS, clockOf } from './actions.ts'
import { holdings } from './control.ts'
import { refuseOtherOrigins } from './same-origin.ts'

const BODY_LIMIT = 512 * 1024

/**
 * The console as JSON, for tests and tools: POST takes an object, GET answers. GET /console/api lists the routes.
 * - POST /expire-access-tokens, /expire-refresh-tokens, /revoke-refresh-tokens, /revoke, /archive, /suspend
 *   `{event_id?, tell?}`: `{changed}`; GET /installations
 * - POST /clock `{advance_s}`, /clock/reset; GET /clock: `{now, offset_s}`
 * - POST /faults `{name, count | seconds, size?}`, /faults/clear `{name?}`; GET /faults: each with `active`, `struck`
 * - POST /webhooks `{type, provider?, event_id?, data? | body?, count?}`: 202 `{delivery_id, delivery_ids}`; GET /senders
 * - POST /deliveries/:id/resend; GET /deliveries, /deliveries/:id with what went over the wire
 * - GET /token-requests
 */
export async function consoleApi(app: FastifyInstance, context: Context): Promise<void> {
  const { state, clock, deliveries, faults, options, tokenRequests } = context
  app.removeContentTypeParser('text/plain')
  app.addHook('onRequest', refuseOtherOrigins)
  const routes: string[] = []
  app.addHook('onRoute', ({ method, url }) => void routes.push(`${String(method)} ${url}`))
  app.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
  })
  for (const { path, status, run } of ACTIONS)
    app.post<{ Params: { id?: string } }>(path, { bodyLimit: BODY_LIMIT }, async (request, reply) => {
      const { json } = run(context, fieldsOf(request.body), request.params.id ?? '')
      return reply.code(status).send(json)
    })
  app.get('/clock', async () => clockOf(context))
  app.get('/faults', async () => ({ data: faults.list().map(shownFault) }))
  app.get('/senders', async () => {
    return {
      data: options.senders.map(s => ({ provider: s.provider.name, url: s.url, types: s.provider.types })),
    }
  })
  app.get('/deliveries', async () => ({ data: deliveries.list().map(listed) }))
  app.get<{ Params: { id: string } }>('/deliveries/:id', async ({ params }) => deliveries.find(params.id))
  app.get('/installations', async () => ({ data: Object.values(state.installations).map(shown) }))
  app.get('/token-requests', async () => tokenRequests.list())
  app.get('', async () => ({ data: routes }))

  function shown(installation: Installation) {
    const { access, accessUntil, refreshUntil } = holdings(state, installation, clock.now())
    return {
      ...installation,
      consented_at: iso(installation.consented_at),
      access_tokens: access,
      access_expires_at: iso(accessUntil),
      refresh_expires_at: iso(refreshUntil),
    }
  }
}

function shownFault({ fault, term, struck }: ReturnType<Faults['list']>[number]) {
  const { name, door, title, what, good } = fault
  const active = term && { left: term.left, until: iso(term.until), size: term.size }
  return { name, door, title, what, good, active, struck }
}

const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
