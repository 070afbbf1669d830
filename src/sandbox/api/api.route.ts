import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WRONG_KIND } from '../../revento/login.ts'
import { ACCEPT, PAGE_LIMIT, type Page, RATE } from '../../revento/platform.ts'
import type { Context } from '../context.ts'
import { type Refusal, strike } from '../faults/faults.ts'
import { one } from '../fields.ts'
import { judgeAccess, sha256 } from '../oauth/tokens.ts'
import type { Installation } from '../state.ts'
import { findEvent, programLists, type TestEvent } from './events.ts'
import { findParticipants, type Listed, type ParticipantRow, participants } from './participants.ts'
import { Problem } from './problem.ts'
import { type Budget, createRate, untouched } from './rate.ts'

type Answer = (event: TestEvent, query: unknown) => unknown

/** The read API below /api/v1. Every answer carries the budget of its token. */
export async function apiRoutes(app: FastifyInstance, context: Context): Promise<void> {
  const { state, options, clock } = context
  const { runtime } = options
  const rate = createRate(runtime.now)
  strike(app, { faults: context.faults, runtime, door: 'api', refuse })

  endpoint('/events/:id', 'event.read', ({ row }) => row)
  list('participants', 'participants.read', event => participants(state, event))
  for (const [name, rows] of Object.entries(programLists)) list(name, 'program.read', rows)
  me('profile', 'profile.read', ({ user_id: id, name, email }) => ({ id, name, email }))
  me(
    'application',
    'event.attendance',
    ({ application_id: id, event_id, application_status, role, registered_at }) => ({
      ...{ id, event_id, application_status, role, registered_at },
    }),
  )
  app.get('/*', async (request, reply) => {
    admit(request, reply)
    throw new Problem('not_found')
  })

  function list(name: string, scope: string, rows: (event: TestEvent) => Listed<unknown>) {
    endpoint(`/events/:id/${name}`, scope, (event, query) =>
      page(`${name} ${event.row.id}`, rows(event), query),
    )
  }

  /** What a participant may read of themselves. */
  function me(name: string, scope: string, answer: (row: ParticipantRow & { event_id: string }) => object) {
    app.get(`/me/${name}`, async (request, reply) => {
      const { user_id, event_id, scope: granted } = admit(request, reply)
      if (user_id === undefined) throw new Problem(WRONG_KIND.installation)
      if (!granted.split(' ').includes(scope)) throw new Problem('missing_scope')
      const event = findEvent(event_id)
      const [row] = event ? findParticipants(state, event, one => one.user_id === user_id, 1) : []
      if (!row) throw new Problem('not_found')
      return answer({ ...row, event_id })
    })
  }

  function endpoint(path: string, scope: string, answer: Answer) {
    app.get<{ Params: { id: string } }>(path, async (request, reply) => {
      const installation = admit(request, reply)
      if (installation.user_id !== undefined) throw new Problem(WRONG_KIND.user)
      if (installation.event_id !== request.params.id) throw new Problem('event_not_authorized')
      if (!installation.scope.split(' ').includes(scope)) throw new Problem('missing_scope')
      if (options.apiDelayMs) await runtime.sleep(options.apiDelayMs)
      const event = findEvent(installation.event_id)
      if (!event) throw new Problem('not_found')
      return answer(event, request.query)
    })
  }

  function admit(request: FastifyRequest, reply: FastifyReply): Installation {
    sendBudget(reply, untouched(runtime.now()))
    reply.header('cache-control', 'no-store')
    const token = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i.exec(request.headers.authorization ?? '')?.[1]
    const verdict = judgeAccess(state, token ?? '', clock.now())
    if (token === undefined || !verdict.ok) throw new Problem(verdict.ok ? 'invalid_token' : verdict.code)
    charge(sha256(token), verdict.installation.user_id !== undefined, reply)
    if (!isAcceptable(request.headers.accept)) throw new Problem('not_acceptable')
    return verdict.installation
  }

  function refuse(request: FastifyRequest, reply: FastifyReply, fault: Refusal): FastifyReply {
    const { status, error, retryAfterS } = fault
    sendBudget(reply, untouched(runtime.now()))
    if (retryAfterS !== undefined) {
      reply.header('retry-after', retryAfterS)
      sendBudget(reply, { limit: RATE.perMinute, remaining: 0, resetAt: runtime.now() + retryAfterS * 1000 })
    }
    reply.code(status).header('cache-control', 'no-store')
    return reply.send({ error, message: 'A fault set in the sandbox.', request_id: request.id })
  }

  function charge(tokenHash: string, isUser: boolean, reply: FastifyReply) {
    const admission = rate.take(tokenHash, isUser)
    sendBudget(reply, admission.budget)
    if (admission.ok) return reply.raw.once('close', admission.release)
    const waitS = Math.max(1, Math.ceil((admission.budget.resetAt - runtime.now()) / 1000))
    if (admission.code === 'rate_limit_exceeded') reply.header('retry-after', waitS)
    throw new Problem(admission.code)
  }
}

function sendBudget(reply: FastifyReply, { limit, remaining, resetAt }: Budget) {
  reply.headers({
    'x-ratelimit-limit': limit,
    'x-ratelimit-remaining': remaining,
    'x-ratelimit-reset': Math.ceil(resetAt / 1000),
  })
}

/** No header, a wildcard and plain JSON mean the current version; a version that does not exist is refused. */
function isAcceptable(accept: string | undefined): boolean {
  if (!accept) return true
  const types = accept.split(',').map(part => part.split(';')[0]?.trim().toLowerCase())
  return [ACCEPT, 'application/json', 'application/*', '*/*'].some(type => types.includes(type))
}

/** One page of a list by `limit` and `cursor`. A cursor holds the name of its list, and every other list refuses it. */
function page<Row>(list: string, rows: Listed<Row>, query: unknown): Page<Row> {
  const limit = readLimit(query)
  const start = readCursor(list, rows.length, query)
  const end = start + limit
  const more = end < rows.length
  return { data: rows.slice(start, end), next_cursor: more ? encode(list, end) : null, has_more: more }
}

const has = (query: unknown, name: string) => Object.hasOwn(Object(query), name)
const encode = (list: string, offset: number) => Buffer.from(`${offset} ${list}`).toString('base64url')

function readLimit(query: unknown): number {
  if (!has(query, 'limit')) return PAGE_LIMIT.default
  const text = one(query, 'limit') ?? ''
  if (!/^[1-9]\d?$/.test(text) || Number(text) > PAGE_LIMIT.max) throw new Problem('invalid_limit')
  return Number(text)
}

function readCursor(list: string, length: number, query: unknown): number {
  if (!has(query, 'cursor')) return 0
  const text = one(query, 'cursor') ?? ''
  const offset = Number.parseInt(Buffer.from(text, 'base64url').toString(), 10)
  // Encoding the offset again must give the same text, so that a cursor has one spelling only.
  if (!(offset > 0 && offset < length) || encode(list, offset) !== text) throw new Problem('invalid_cursor')
  return offset
}
