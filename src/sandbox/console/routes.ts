import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Html } from '../../http/html.ts'
import { createLive, marksOf, type Rendered, sendStream } from '../../http/live.ts'
import { codeOf, PROBLEMS, type ProblemCode, sendProblem } from '../api/problem.ts'
import type { Context } from '../context.ts'
import type { Faults } from '../faults/faults.ts'
import { fieldsOf } from '../fields.ts'
import type { Installation } from '../state.ts'
import { listed } from '../webhooks/delivery.ts'
import { ACTIONS, clockOf, noticeIn, pageAfter } from './actions.ts'
import { holdings } from './installations.ts'
import { type ConsolePage, problemBody, refuseForeignHosts, refuseOtherOrigins, sendConsole } from './page.ts'
import { everybody } from './people.ts'
import { faultsPage } from './views.faults.ts'
import { homePage } from './views.home.ts'
import { peoplePage } from './views.people.ts'
import { deliveryPage, deliveryParts, editPage, webhooksPage, webhooksParts } from './views.webhooks.ts'

const BODY_LIMIT = 512 * 1024
/** There is no login: all pages that listen are one person's. */
const DEVELOPER = { id: 'developer', formToken: '' }
type ById = { Params: { id?: string } }

/** The console's pages, and its actions as plain forms: it needs no JavaScript. */
export async function consolePages(app: FastifyInstance, context: Context): Promise<void> {
  const { deliveries } = context
  await app.register(formbody, { bodyLimit: BODY_LIMIT })
  app.setErrorHandler((err, request, reply) => sendFailure(context, request, reply, codeOf(err, request)))
  app.addHook('onRequest', refuseForeignHosts)
  page('/', 'home', () => homePage(context))
  page('/people', 'people', ({ query }) => peoplePage(context, query))
  page('/faults', 'faults', () => faultsPage(context))
  livePage('/webhooks', (_request, parts) => webhooksPage(context, parts))
  page('/webhooks/edit', 'webhooks', ({ query }) => editPage(context, query))
  livePage('/deliveries/:id', ({ params }, parts) => deliveryPage(deliveries.find(params.id ?? ''), parts))
  const live = createLive(
    {
      alive: async ids => new Map(ids.map(id => [id, true])),
      look:
        async () =>
        async (_seen, { selected }) =>
          partsOf(selected),
      log: app.log,
    },
    context.options.runtime,
  )
  app.addHook('preClose', async () => live.close())
  app.get('/stream', (request, reply) => sendStream(live, DEVELOPER, 'about', request, reply))
  for (const action of ACTIONS)
    app.post<ById>(
      `/console${action.path}`,
      { onRequest: refuseOtherOrigins },
      async ({ body, params: { id = '' } }, reply) => {
        const done = action.run(context, fieldsOf(body), id)
        return reply
          .code(303)
          .header('location', pageAfter(action, done, id))
          .send()
      },
    )

  /** The changing parts of a delivery's page, or else of the page of all. */
  function partsOf(id: string): Rendered {
    const delivery = deliveries.list().find(({ delivery_id }) => delivery_id === id)
    return delivery ? deliveryParts(delivery) : webhooksParts(context)
  }

  /** A page whose changing parts the script replaces. */
  function livePage(path: string, body: (request: FastifyRequest<ById>, parts: Rendered) => Html) {
    app.get<ById>(path, async (request, reply) => {
      const about = request.params.id ?? ''
      const parts = partsOf(about)
      const stream = `/stream?${new URLSearchParams({ about, have: marksOf(parts).join('.') }).toString()}`
      const notice = noticeIn(request.query)
      return sendConsole(reply, context, { page: 'webhooks', notice, stream, body: body(request, parts) })
    })
  }

  function page(path: string, name: ConsolePage, body: (request: FastifyRequest<ById>) => Html) {
    app.get<ById>(path, async (request, reply) =>
      sendConsole(reply, context, { page: name, notice: noticeIn(request.query), body: body(request) }),
    )
  }
}

/**
 * The same actions as JSON, for tests and tools, and what they change: POST takes an object, GET answers.
 * - GET /console/api: all routes
 * - POST /expire-access-tokens, /expire-refresh-tokens, /revoke-refresh-tokens, /revoke, /archive, /suspend
 *   `{event_id?, user_id?, tell?}`: `{changed}`; GET /installations
 * - POST /clock `{advance_s}`, /clock/reset; GET /clock: `{now, offset_s}`
 * - POST /faults `{name, count | seconds, size?}`, /faults/clear `{name?}`; GET /faults: each with `active`, `struck`
 * - POST /webhooks `{type, provider?, event_id?, data? | body?, count?}`: 202 `{delivery_id, delivery_ids}`; GET /senders
 * - POST /people, /people/edit, /people/cancel, /people/remove `{event_id, participant_id? | count?, name?, status?, tell?}`:
 *   `{participant_ids}`; GET /people?event_id= everybody, as the API has them
 * - POST /deliveries/:id/resend; GET /deliveries, /deliveries/:id with the requests as they were sent
 * - GET /token-requests
 * - POST /reset: makes the sandbox new
 */
export async function consoleApi(app: FastifyInstance, context: Context): Promise<void> {
  const { state, clock, deliveries, faults, options, tokenRequests } = context
  const routes: string[] = []
  app.removeContentTypeParser('text/plain')
  app.addHook('onRequest', refuseOtherOrigins)
  app.addHook('onRoute', ({ method, url }) => void routes.push(`${String(method)} ${url}`))
  app.addHook('onSend', async (_request, reply) => void reply.header('cache-control', 'no-store'))
  for (const { path, status = 200, run } of ACTIONS)
    app.post<ById>(path, { bodyLimit: BODY_LIMIT }, async ({ body, params: { id = '' } }, reply) =>
      reply.code(status).send(run(context, fieldsOf(body), id).json),
    )
  app.get('/clock', async () => clockOf(context))
  app.get<ById>('/deliveries/:id', async ({ params }) => deliveries.find(params.id ?? ''))
  app.get('/people', async ({ query }) => ({ data: everybody(context, fieldsOf(query)) }))
  app.get('/token-requests', async () => tokenRequests.list())
  list('/faults', () => faults.list().map(shownFault))
  list('/senders', () =>
    options.senders.map(({ provider: { name, types }, url }) => ({ provider: name, url, types })),
  )
  list('/deliveries', () => deliveries.list().map(listed))
  list('/installations', () => Object.values(state.installations).map(shownInstallation))
  list('', () => routes)

  function list(path: string, data: () => readonly unknown[]) {
    app.get(path, async () => ({ data: data() }))
  }

  function shownInstallation(installation: Installation) {
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

/** A failure as a page where a browser asked, else as JSON. */
export function sendFailure(
  context: Context,
  request: FastifyRequest,
  reply: FastifyReply,
  code: ProblemCode,
): FastifyReply {
  if (!request.headers.accept?.includes('text/html')) return sendProblem(reply, code)
  reply.code(PROBLEMS[code][0])
  return sendConsole(reply, context, { body: problemBody(code, request.id) })
}
