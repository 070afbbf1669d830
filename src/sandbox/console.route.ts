import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Context } from './context.ts'
import { type Control, controls } from './control.ts'
import { findEvent, testEvents } from './events.ts'
import { sendPage } from './page.ts'
import { Problem } from './problem.ts'
import { refuseOtherOrigins } from './same-origin.ts'
import { one } from './single.ts'
import { addressed, type Draft, draftOf } from './story.ts'
import { homePage } from './views.home.ts'

const CONTROLS = Object.keys(controls) as Control[]
const TYPE = /^[a-z0-9_.]{1,100}$/

/** Runs a control for one event, or for all without an id; answers how many things it changed. */
function run({ state, options, save }: Context, control: Control, eventId: string | undefined): number {
  if (eventId !== undefined && !findEvent(eventId)) throw new Problem('not_found')
  const changed = controls[control](state, eventId, options.runtime.now())
  save()
  options.log.info({ part: 'sandbox', control, event_id: eventId, changed }, 'sandbox control')
  return changed
}

/** The home page and its plain forms. */
export async function consolePages(app: FastifyInstance, context: Context): Promise<void> {
  await app.register(formbody, { bodyLimit: 4096 })
  app.get('/', async (request, reply) => {
    const { state, deliveries } = context
    const appUrl = new URL(context.options.redirectUri).origin
    return sendPage(
      reply,
      homePage(Object.values(state.installations), deliveries.list(), appUrl, doneText(request)),
    )
  })
  for (const control of CONTROLS)
    app.post(`/console/${control}`, { onRequest: refuseOtherOrigins }, async (request, reply) => {
      const changed = run(context, control, one(request.body, 'event_id'))
      return reply.code(303).header('location', `/?done=${control}&changed=${changed}`).send()
    })
}

/** What the button that led here did; the page looks the same otherwise. */
function doneText({ query }: FastifyRequest): string | undefined {
  const [done, changed] = [one(query, 'done'), one(query, 'changed')]
  if (!CONTROLS.some(control => control === done) || changed === undefined || !/^\d{1,4}$/.test(changed))
    return undefined
  return `Done: ${done?.replaceAll('-', ' ')} (${changed} changed). Reload your app's page to see what it makes of it.`
}

/** The same as JSON, for tests and tools. */
export async function consoleApi(app: FastifyInstance, context: Context): Promise<void> {
  app.removeContentTypeParser('text/plain')
  app.addHook('onRequest', refuseOtherOrigins)
  app.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
  })
  for (const control of CONTROLS)
    app.post(`/${control}`, async request => ({
      changed: run(context, control, optional(request.body, 'event_id')),
    }))
  app.post('/webhooks', sendWebhook)
  app.get('/deliveries', async () => ({ data: context.deliveries.list() }))
  app.get('/installations', async () => ({ data: Object.values(context.state.installations).map(shown) }))
  app.get('/token-requests', async () => context.tokenRequests.list())

  async function sendWebhook(request: FastifyRequest, reply: FastifyReply) {
    const delivery_id = context.deliveries.start(readDraft(request.body))
    context.save()
    return reply.code(202).send({ delivery_id })
  }

  /** With `data` it is sent as given; without, the sandbox makes up a change and tells of it. */
  function readDraft(body: unknown): Draft {
    const type = optional(body, 'type') ?? ''
    if (!TYPE.test(type)) throw new Problem('invalid_request')
    const eventId = optional(body, 'event_id')
    const event = eventId === undefined ? testEvents()[0] : findEvent(eventId)
    if (!event) throw new Problem('not_found')
    const data = dataOf(body)
    const at = new Date(context.options.runtime.now()).toISOString()
    return data ? { ...addressed(type, event), data } : draftOf(context.state, type, event, at)
  }
}

const shown = ({ consented_at, ...rest }: { consented_at: number }) => {
  return { ...rest, consented_at: new Date(consented_at).toISOString() }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A text field of a JSON body that may be absent, body included; anything else is refused. */
function optional(body: unknown, name: string): string | undefined {
  if (body === undefined) return undefined
  if (!isObject(body)) throw new Problem('invalid_request')
  const value = body[name]
  if (value !== undefined && typeof value !== 'string') throw new Problem('invalid_request')
  return value
}

function dataOf(body: unknown): Record<string, unknown> | undefined {
  if (!isObject(body) || body['data'] === undefined) return undefined
  if (!isObject(body['data'])) throw new Problem('invalid_request')
  return body['data']
}
