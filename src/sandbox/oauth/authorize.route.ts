import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Html, html } from '../../http/html.ts'
import type { Runtime } from '../../process/runtime.ts'
import { NOT_ELIGIBLE } from '../../revento/login.ts'
import { AUTHORIZE_PATH, SCOPES, USER_SCOPES } from '../../revento/platform.ts'
import { findEvent, type TestEvent } from '../api/events.ts'
import { findParticipants, type ParticipantRow, participants } from '../api/participants.ts'
import { refuseOtherOrigins, sendPage } from '../console/page.ts'
import type { Context } from '../context.ts'
import { one, single } from '../fields.ts'
import type { SandboxOptions } from '../options.ts'
import { isConnected, issueCode } from './tokens.ts'

/** Shows the consent page to a browser, and redirects it back with the decision. */
export async function authorizeRoutes(app: FastifyInstance, context: Context): Promise<void> {
  const consents = createConsents(context.options.runtime)
  await app.register(formbody, { bodyLimit: 4096 })
  app.get(AUTHORIZE_PATH, ask)
  app.post(AUTHORIZE_PATH, { onRequest: refuseOtherOrigins }, decide)

  async function ask(request: FastifyRequest, reply: FastifyReply) {
    const verdict = judgeAuthorize(request.query, context.options)
    if (verdict.ok && verdict.request.isLogin) return askParticipant(reply, verdict.request)
    if (verdict.ok) {
      const page = consentPage(verdict.request, consents.add(verdict.request))
      // Chromium applies form-action to the redirect that follows the POST as well.
      return sendPage(reply, page, { formAction: new URL(context.options.redirectUri).origin })
    }
    if ('show' in verdict) return sendPage(reply, refusalPage(verdict.show), { status: 400 })
    const { redirect: error, description: error_description, state } = verdict
    return sendBack(reply.code(302), backWith({ error, error_description, ...(state && { state }) }))
  }

  /** Whoever applied to the event may sign in, once its organizer has connected it. */
  function askParticipant(reply: FastifyReply, request: AuthorizeRequest) {
    const { state, event } = request
    if (!isConnected(context.state, event.row.id))
      return sendBack(
        reply.code(302),
        backWith({ error: NOT_ELIGIBLE, error_description: 'no organizer has connected this event', state }),
      )
    const page = loginPage(
      request,
      consents.add(request),
      participants(context.state, event).slice(0, LISTED),
    )
    return sendPage(reply, page, { formAction: new URL(context.options.redirectUri).origin })
  }

  async function decide(request: FastifyRequest, reply: FastifyReply) {
    const agreed = one(request.body, 'decision') === 'authorize'
    const user = one(request.body, 'user')
    const location = consents.decide(one(request.body, 'consent') ?? '', asked => {
      const code = agreed ? grant(asked, user) : undefined
      return backWith({ ...(code ? { code } : { error: 'access_denied' }), state: asked.state })
    })
    if (!location) return sendPage(reply, refusalPage('consent'), { status: 400 })
    return sendBack(reply.code(303), location)
  }

  /** Undefined for a sign-in of somebody who has no application. */
  function grant(
    { event, scope, codeChallenge, isLogin }: AuthorizeRequest,
    user_id: string | undefined,
  ): string | undefined {
    const { id: event_id, organization_id } = event.row
    const redirect_uri = context.options.redirectUri
    const isThere = ({ user_id: id }: ParticipantRow) => id === user_id
    if (isLogin && findParticipants(context.state, event, isThere, 1).length === 0) return undefined
    const whose = { event_id, organization_id, ...(isLogin && user_id !== undefined && { user_id }) }
    const consent = { ...whose, scope, redirect_uri, code_challenge: codeChallenge }
    const code = issueCode(context.state, consent, context.clock)
    context.save()
    return code
  }

  function backWith(answer: Record<string, string>): string {
    const target = new URL(context.options.redirectUri)
    for (const [name, value] of Object.entries(answer)) target.searchParams.set(name, value)
    return target.href
  }

  const sendBack = (reply: FastifyReply, location: string) =>
    reply.header('cache-control', 'no-store').header('location', location).send()
}

interface AuthorizeRequest {
  event: TestEvent
  scope: string
  /** The scopes are a participant's. */
  isLogin: boolean
  state: string
  codeChallenge: string
}

type AuthorizeError = 'invalid_request' | 'unsupported_response_type' | 'invalid_scope'

type AuthorizeVerdict =
  | { ok: true; request: AuthorizeRequest }
  /** The redirect URI cannot be trusted, so the error stays on the sandbox (RFC 6749 section 4.1.2.1). */
  | { ok: false; show: 'client_id' | 'redirect_uri' }
  | { ok: false; redirect: AuthorizeError; description: string; state: string | undefined }

const CHALLENGE = /^[A-Za-z0-9_-]{43}$/

/** Judges the query of GET /oauth/authorize. The redirect URI must be equal byte for byte, a trailing slash included. */
function judgeAuthorize(query: unknown, { clientId, redirectUri }: SandboxOptions): AuthorizeVerdict {
  if (one(query, 'client_id') !== clientId) return { ok: false, show: 'client_id' }
  if (one(query, 'redirect_uri') !== redirectUri) return { ok: false, show: 'redirect_uri' }

  const state = one(query, 'state')
  const refuse = (redirect: AuthorizeError, description: string) =>
    ({ ok: false, redirect, description, state }) as const
  const fields = single(query)
  if (!fields) return refuse('invalid_request', 'a parameter is repeated')
  if (!state) return refuse('invalid_request', 'state is missing')
  if (fields.get('response_type') !== 'code')
    return refuse('unsupported_response_type', 'response_type is code')
  const codeChallenge = fields.get('code_challenge') ?? ''
  if (fields.get('code_challenge_method') !== 'S256' || !CHALLENGE.test(codeChallenge))
    return refuse('invalid_request', 'PKCE with S256 is required')
  const event = findEvent(fields.get('event_id') ?? '')
  if (!event) return refuse('invalid_request', 'event_id is not a test event')
  const scope = readScope(fields.get('scope') ?? '')
  if (!scope)
    return refuse('invalid_scope', `scopes of one flow: ${SCOPES.join(', ')}; or ${USER_SCOPES.join(', ')}`)
  return { ok: true, request: { event, ...scope, state, codeChallenge } }
}

/** The scopes say which flow it is; those of the other one among them are refused like unknown ones. */
function readScope(text: string): Pick<AuthorizeRequest, 'scope' | 'isLogin'> | undefined {
  const wanted = [...new Set(text.split(' '))]
  const areOf = (known: readonly string[]) => wanted.every(scope => known.includes(scope))
  const isLogin = areOf(USER_SCOPES)
  return isLogin || areOf(SCOPES) ? { scope: wanted.join(' '), isLogin } : undefined
}

const LIFE_MS = 600_000
/** A later click is no double click: the page has been used. */
const SECOND_CLICK_MS = 2_000
const KEPT = 1000

/** The requests that wait for a decision. The form carries only an id, so that nothing on the page can be tampered with. */
function createConsents(runtime: Runtime) {
  const waiting = new Map<string, { request: AuthorizeRequest; until: number; location?: string }>()
  return {
    add(request: AuthorizeRequest): string {
      const id = runtime.bytes(24).toString('base64url')
      waiting.set(id, { request, until: runtime.now() + LIFE_MS })
      const [oldest] = waiting.keys()
      if (waiting.size > KEPT && oldest !== undefined) waiting.delete(oldest)
      return id
    },
    /** The address to which the browser is sent. `decide` runs once; a second click gets the same address. */
    decide(id: string, decide: (request: AuthorizeRequest) => string): string | undefined {
      const consent = waiting.get(id)
      if (!consent || runtime.now() >= consent.until) return undefined
      const location = consent.location ?? decide(consent.request)
      if (consent.location === undefined)
        waiting.set(id, { ...consent, location, until: runtime.now() + SECOND_CLICK_MS })
      return location
    },
  }
}

const SCOPE_MEANS: Record<string, string> = {
  'event.read': 'Read the event: title, dates, description, status',
  'participants.read': 'Read its participants: profiles, form answers, roles, application status',
  'program.read': 'Read its program: activities, threads, locations, registration waves',
  'profile.read': 'Read your profile: name and email',
  'event.attendance': 'See whether you attend the event',
}

function consentPage({ event, scope }: AuthorizeRequest, consentId: string): Html {
  const scopes = scope.split(' ').map(name => html`<li><code>${name}</code> ${SCOPE_MEANS[name]}</li>`)
  return html`<main class="narrow">
<h1>Connect your app to ${event.row.title}?</h1>
<dl class="facts">
<div><dt>Event</dt><dd>${event.row.title} <code>${event.row.id}</code></dd></div>
<div><dt>Organization</dt><dd>${event.organization} <code>${event.row.organization_id}</code></dd></div>
</dl>
<h2>It asks to</h2>
<ul>${scopes}</ul>
<form method="post" action="${AUTHORIZE_PATH}" class="decision">
<input type="hidden" name="consent" value="${consentId}">
<button name="decision" value="authorize" class="primary">Authorize</button>
<button name="decision" value="decline">Decline</button>
</form>
<p class="quiet">On the real platform an organizer sees Revento's own page here.</p>
</main>`
}

/** More people than this are not listed: nobody would read on. */
const LISTED = 100

/** The question to a participant. The sandbox has no accounts, so the page asks who it is. */
function loginPage({ event, scope }: AuthorizeRequest, consentId: string, rows: ParticipantRow[]): Html {
  const scopes = scope.split(' ').map(name => html`<li><code>${name}</code> ${SCOPE_MEANS[name]}</li>`)
  const people = rows.map(
    row => html`<option value="${row.user_id}">${row.name}, ${row.application_status}</option>`,
  )
  return html`<main class="narrow">
<h1>Sign in to your app with Revento?</h1>
<dl class="facts">
<div><dt>Event</dt><dd>${event.row.title} <code>${event.row.id}</code></dd></div>
</dl>
<h2>It asks to</h2>
<ul>${scopes}</ul>
<form method="post" action="${AUTHORIZE_PATH}" class="decision">
<input type="hidden" name="consent" value="${consentId}">
<label>You are <select name="user">${people}<option value="nobody">Somebody who has not applied</option></select></label>
<button name="decision" value="authorize" class="primary">Sign in</button>
<button name="decision" value="decline">Decline</button>
</form>
<p class="quiet">On the real platform a participant is known there, and sees Revento's own page.</p>
</main>`
}

const REFUSALS = {
  client_id: ['Unknown client_id', 'This sandbox was started with another client_id than this link has.'],
  redirect_uri: [
    'redirect_uri does not match',
    'It must equal the registered one, a trailing slash included.',
  ],
  consent: ['This page has been used', 'The decision was made or came too late. Start again from your app.'],
} as const

/** Stands in place of a redirect, since no address can be trusted with a wrong client or redirect URI. */
function refusalPage(reason: keyof typeof REFUSALS): Html {
  const [title, text] = REFUSALS[reason]
  return html`<main class="narrow"><h1>${title}</h1><p>${text}</p></main>`
}
