import cookie from '@fastify/cookie'
import formbody from '@fastify/formbody'
import type { FastifyPluginAsync, FastifyRequest, RouteOptions } from 'fastify'
import { AppError } from '../http/errors.ts'
import { sendToOwnHost } from '../http/own-host.ts'
import { ConnectionUnavailable } from '../oauth/access-token.ts'
import { apiFailure, endCode } from '../oauth/api-failure.ts'
import type { Connection, ConnectionKey, Connections } from '../oauth/connections.ts'
import { type Entitlement, entitlement } from '../oauth/entitlement.ts'
import type { Login } from '../oauth/index.ts'
import { type Session, type Sessions, signedIn } from '../oauth/sessions.ts'
import { participantOf } from '../oauth/sign-in-sessions.ts'
import { checkForm } from '../pages/forms.ts'
import { formToken, layout } from '../pages/layout.ts'
import type { Log } from '../process/log.ts'
import { BuilderMistake, placeOf } from '../process/mistake.ts'
import type { EventApi } from '../revento/api.ts'
import type { Own } from './context.ts'
import { isEnded } from './me.ts'
import { NotUsable, type Revento } from './revento.ts'
import type { Guards, Organizer, Participant, Routes } from './route.ts'

export interface BuilderRoutesOptions {
  readonly routes: Routes
  readonly own: Own
  readonly appName: string
  readonly origin: string
  readonly production: boolean
  readonly sessions: Sessions
  readonly login: Login | undefined
  readonly connections: Pick<Connections, 'find'>
  readonly api: (key: ConnectionKey, requestId: string) => EventApi
  readonly revento: Revento
  readonly log: Log
}

const FORM_LIMIT = 64 * 1024
const GUARDS: Guards = {
  organizer: { config: { guard: 'organizer' } },
  participant: { config: { guard: 'participant' } },
  open: { config: { guard: 'open' } },
}

/** The builder's routes, each behind its guard. A route without one is a BuilderMistake: the app does not start. */
export const builderRoutes: FastifyPluginAsync<BuilderRoutesOptions> = async (app, o) => {
  const known = new WeakMap<FastifyRequest, Known>()
  const toOwnHost = sendToOwnHost(o)
  await app.register(cookie)
  await app.register(formbody, { bodyLimit: FORM_LIMIT })
  for (const name of ['organizer', 'participant'] as const)
    app.decorateRequest(name, {
      getter(this: FastifyRequest) {
        const found = known.get(this)?.[name]
        if (!found)
          throw new Error(`${this.routeOptions.url} has not guard.${name}: request.${name} is not known`)
        return found as Organizer & Participant
      },
    })
  // The hook belongs to this scope: a hook in a route's options could be overwritten without notice.
  app.addHook('onRequest', async (request, reply) => {
    const { guard } = request.routeOptions.config
    if (guard !== 'organizer' && guard !== 'participant') return
    if (request.method === 'GET' && (await toOwnHost(request, reply))) return reply
    reply.header('cache-control', 'no-store')
    if (guard === 'participant') {
      if (!o.login) throw new AppError('not_found')
      const session = await participantOf(o.login.sessions, request)
      const participant = { ...session.key, me: o.login.me(session.key, request.id) }
      known.set(request, { session, participant, area: '/me' })
      return
    }
    const session = await signedIn(o.sessions, request)
    const entitled = await entitlement(o.connections.find, session.connections)
    known.set(request, { session, organizer: organizerOf(o, request, entitled) })
    return
  })
  app.addHook('preValidation', async request => {
    const session = known.get(request)?.session
    if (session && request.method !== 'GET') checkForm(request, session, o.origin)
  })
  app.setErrorHandler((error, request) => {
    const [cause, eventId] =
      error instanceof NotUsable
        ? [error.cause ?? error, error.eventId]
        : [error, request.outcome?.['event_id']]
    if (known.get(request)?.participant && isEnded(error)) throw new AppError('sign_in_again')
    throw apiFailure(cause, { eventId: String(eventId ?? ''), organizationId: '' }, o.origin)
  })
  const guardless = watchGuards(route => app.addHook('onRoute', route))
  await added(() =>
    o.routes(app, {
      ...o.own,
      guard: GUARDS,
      revento: o.revento,
      log: o.log,
      page: (reply, { title, body }) => {
        const { session, area = '' } = known.get(reply.request) ?? {}
        return reply
          .type('text/html; charset=utf-8')
          .send(layout({ appName: o.appName, title, body, session, area }).text)
      },
      formToken(request) {
        const found = known.get(request)
        if (!found)
          throw new Error('a form token is of a session: give the route guard.organizer or guard.participant')
        return formToken(found.session)
      },
    }),
  )
  // The builder's own plugins have added their routes by then.
  app.addHook('onReady', async () => {
    if (guardless.length > 0) throw new BuilderMistake(guardless.join('\n'))
  })
}

interface Known {
  readonly session: Pick<Session, 'formToken'>
  readonly area?: '/me'
  readonly organizer?: Organizer
  readonly participant?: Participant
}

function organizerOf(o: BuilderRoutesOptions, request: FastifyRequest, entitled: Entitlement): Organizer {
  const eventOf = ({ eventId, organizationId }: ConnectionKey) => ({
    eventId,
    organizationId,
    get api() {
      request.outcome = { ...request.outcome, event_id: eventId }
      return o.api({ eventId, organizationId }, request.id)
    },
  })
  const events = entitled.grants.map(eventOf)
  return {
    events,
    event(eventId) {
      const ended = entitled.connections.find((c: Connection) => c.eventId === eventId)
      if (!ended) throw new AppError('not_found')
      const found = events.find(event => event.eventId === eventId)
      if (found) return found
      throw apiFailure(new ConnectionUnavailable(endCode(ended)), ended, o.origin)
    },
  }
}

/** Collects a message for each route without a guard. */
function watchGuards(onRoute: (hook: (route: RouteOptions) => void) => void): string[] {
  const guardless: string[] = []
  onRoute(({ method, url, config }) => {
    const { guard } = config ?? {}
    if (guard !== undefined && Object.hasOwn(GUARDS, guard)) return
    const name = `${[method].flat().join(', ')} ${url}`
    guardless.push(
      `${here()}: ${name} has no guard. Write guard.organizer behind its path (who has connected an event), ` +
        'guard.participant (who signed in), or guard.open where everybody may come.',
    )
  })
  return guardless
}

/** The place in the builder's code that called Fastify. */
function here(): string {
  const before = Error.stackTraceLimit
  Error.stackTraceLimit = 60
  const place = placeOf(new Error())
  Error.stackTraceLimit = before
  return place ?? 'src/integration/routes.ts'
}

async function added(add: () => void | Promise<void>): Promise<void> {
  try {
    await add()
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown }
    const place = placeOf(error) ?? 'src/integration/routes.ts'
    if (code === 'FST_ERR_DUPLICATED_ROUTE')
      throw new BuilderMistake(
        `${place}: ${String(message)}. Give it another path: nothing of ours is under /app/.`,
      )
    throw new BuilderMistake(`${place}: the routes cannot be added: ${String(message)}`, { cause: error })
  }
}
