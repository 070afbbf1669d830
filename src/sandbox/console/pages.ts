import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Html } from '../../http/html.ts'
import { findEvent, testEvents } from '../api/events.ts'
import { codeOf, PROBLEMS, type ProblemCode, sendProblem } from '../api/problem.ts'
import type { Context } from '../context.ts'
import { fieldsOf, one } from '../fields.ts'
import { problemPage } from '../oauth/authorize.route.ts'
import { sampleBody } from '../webhooks/delivery.ts'
import { draftOf, envelope } from '../webhooks/story.ts'
import { ACTIONS } from './actions.ts'
import { noticeIn, withNotice } from './notice.ts'
import { type ConsolePage, sendConsole } from './page.ts'
import { refuseForeignHosts, refuseOtherOrigins } from './same-origin.ts'
import { deliveryPage } from './views.delivery.ts'
import { faultsPage } from './views.faults.ts'
import { homePage } from './views.home.ts'
import { editPage, webhooksPage } from './views.webhooks.ts'

const BODY_LIMIT = 512 * 1024

/** The console's pages and their plain forms; without JavaScript. */
export async function consolePages(app: FastifyInstance, context: Context): Promise<void> {
  const { deliveries, faults, options } = context
  await app.register(formbody, { bodyLimit: BODY_LIMIT })
  app.setErrorHandler((err, request, reply) => sendFailure(context, request, reply, codeOf(err, request)))

  app.addHook('onRequest', refuseForeignHosts)

  app.get('/', async (request, reply) => show(request, reply, 'home', homePage(context)))
  app.get('/faults', async (request, reply) => show(request, reply, 'faults', faultsPage(faults.list())))
  app.get('/webhooks', async (request, reply) =>
    show(request, reply, 'webhooks', webhooksPage(options.senders, deliveries.list(), options.runtime.now())),
  )
  app.get('/webhooks/edit', async (request, reply) => show(request, reply, 'webhooks', edit(request.query)))
  app.get<{ Params: { id: string } }>('/deliveries/:id', async (request, reply) =>
    show(request, reply, 'webhooks', deliveryPage(deliveries.find(request.params.id))),
  )
  for (const { path, run } of ACTIONS)
    app.post<{ Params: { id?: string } }>(
      `/console${path}`,
      { onRequest: refuseOtherOrigins },
      async (request, reply) => {
        const { page, notice } = run(context, fieldsOf(request.body), request.params.id ?? '')
        return reply.code(303).header('location', withNotice(page, notice)).send()
      },
    )

  function show(request: FastifyRequest, reply: FastifyReply, page: ConsolePage, body: Html) {
    return sendConsole(reply, context, { page, notice: noticeIn(request.query), body })
  }

  /** A believable body to change. Made from a copy of the data: only what is sent happens. */
  function edit(query: unknown): Html {
    const name = one(query, 'provider')
    const sender = options.senders.find(({ provider }) => provider.name === name) ?? options.senders[0]
    const type = one(query, 'type') ?? ''
    const event = findEvent(one(query, 'event_id') ?? '') ?? testEvents()[0]
    if (!sender || !event) return problemPage('not_found')
    const copy = structuredClone(context.state)
    const at = new Date(options.runtime.now()).toISOString()
    const body =
      sender === options.senders[0]
        ? envelope(draftOf(copy, type, event, at), options.runtime).body
        : sampleBody(sender, type, options.runtime)
    return editPage({ sender, type, eventId: event.row.id, body })
  }
}

/** A page where a browser asked, else the JSON that every other failure is. */
export function sendFailure(
  context: Context,
  request: FastifyRequest,
  reply: FastifyReply,
  code: ProblemCode,
): FastifyReply {
  if (!request.headers.accept?.includes('text/html')) return sendProblem(reply, code)
  reply.code(PROBLEMS[code][0])
  return sendConsole(reply, context, {
    page: undefined,
    notice: undefined,
    body: problemPage(code, request.id),
  })
}
