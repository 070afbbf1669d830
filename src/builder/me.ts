import cookie from '@fastify/cookie'
import formbody from '@fastify/formbody'
import type { FastifyPluginAsync } from 'fastify'
import { AppError } from '../http/errors.ts'
import { type Html, html } from '../http/html.ts'
import { sendToOwnHost } from '../http/own-host.ts'
import { prefersHtml } from '../http/parameters.ts'
import { ConnectionUnavailable } from '../oauth/access-token.ts'
import type { Login } from '../oauth/index.ts'
import { participantOf } from '../oauth/sign-in-sessions.ts'
import { checkForm } from '../pages/forms.ts'
import { formToken, layout } from '../pages/layout.ts'
import { PROBLEMS, words } from '../pages/words.ts'
import { ApiError } from '../revento/api.ts'
import type { ApplicationRow, ProfileRow } from '../revento/platform.ts'

/** What the page of src/integration/me.ts is made of. What Revento did not give is undefined, and `problems` says why. */
export interface Me {
  readonly eventId: string
  readonly profile: ProfileRow | undefined
  readonly application: ApplicationRow | undefined
  readonly problems: readonly string[]
}

export interface MeOptions {
  readonly page: (me: Me) => Html
  readonly appName: string
  readonly origin: string
  readonly production: boolean
  readonly login: Login
}

/** A participant's page, which signs out, and which erases this app's access to what it shows. */
export const meRoutes: FastifyPluginAsync<MeOptions> = async (app, o) => {
  const { appName, login } = o
  app.removeAllContentTypeParsers()
  await app.register(cookie)
  await app.register(formbody, { bodyLimit: 4096 })
  const toLogin = (title: string) =>
    layout({
      appName,
      title,
      area: '/me',
      body: html`<h1>${title}</h1><p><a class="button" href="/login">Sign in with Revento</a></p>`,
    }).text

  app.get('/me', { onRequest: sendToOwnHost(o) }, async (request, reply) => {
    reply.header('cache-control', 'no-store')
    const isPage = prefersHtml(request)
    const session = await login.sessions.read(request)
    if (!session && !isPage) throw new AppError('not_signed_in')
    void reply.type(isPage ? 'text/html; charset=utf-8' : 'application/json; charset=utf-8')
    if (!session) return toLogin('Sign in')
    const { eventId } = session.key
    request.outcome = { event_id: eventId, sign_in: session.key.signIn }
    const api = login.me(session.key, request.id)
    const asked = [await ask(() => api.profile()), await ask(() => api.application())] as const
    const [profile, application] = asked.map(answer => answer.row)
    const codes = asked.flatMap(answer => answer.problem ?? [])
    if (codes.some(code => ENDED.has(code))) {
      if (!isPage) throw new AppError('sign_in_again')
      return reply.code(401).send(toLogin('Revento asks you to sign in again'))
    }
    if (!isPage) return { event_id: eventId, profile, application, problems: codes }
    const problems = codes.map(code => PROBLEMS_OF_ME[code] ?? PROBLEMS[code] ?? words(code))
    const body = html`${o.page({ eventId, profile, application, problems })}
<form method="post" action="/me/forget">${formToken(session)}<p><button class="button danger">Forget me here</button></p>
<p class="quiet">This app then destroys its access to what is above. At Revento the permission stays: end it there.</p></form>`
    return layout({ appName, title: 'You', session, area: '/me', body }).text
  })

  app.post('/me/logout', async (request, reply) => {
    checkForm(request, await participantOf(login.sessions, request), o.origin)
    await login.sessions.end(request, reply)
    return reply.redirect('/me', 303)
  })

  app.post('/me/forget', async (request, reply) => {
    const session = await participantOf(login.sessions, request)
    checkForm(request, session, o.origin)
    await login.signIns.forget(session.key)
    await login.sessions.end(request, reply)
    return reply.redirect('/me', 303)
  })
}

const ENDED: ReadonlySet<string> = new Set(['revoked', 'reconsent_required', 'not_connected'])

/** Whether a participant has to sign in again because of this error. */
export const isEnded = (error: unknown) => error instanceof ConnectionUnavailable && ENDED.has(error.code)

const PROBLEMS_OF_ME: Record<string, string> = {
  scope_missing: 'You have not allowed this app to see everything that it asked for.',
  suspended: 'Revento has suspended this app. It goes on by itself when that is lifted.',
}

async function ask<T>(call: () => Promise<T>): Promise<{ row?: T; problem?: string }> {
  try {
    return { row: await call() }
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof ConnectionUnavailable)) throw error
    return { problem: error.code }
  }
}
