import formbody from '@fastify/formbody'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AUTHORIZE_PATH } from '../../revento/platform.ts'
import { sendPage } from '../console/page.ts'
import { refuseOtherOrigins } from '../console/same-origin.ts'
import type { Context } from '../context.ts'
import { one } from '../single.ts'
import { type AuthorizeRequest, judgeAuthorize } from './authorize.request.ts'
import { consentPage, refusalPage } from './consent-page.ts'
import { createConsents } from './consents.ts'
import { issueCode } from './tokens.ts'

/** The consent a browser is shown, and the redirect that carries the decision back. */
export async function authorizeRoutes(app: FastifyInstance, context: Context): Promise<void> {
  const consents = createConsents(context.options.runtime)
  await app.register(formbody, { bodyLimit: 4096 })
  app.get(AUTHORIZE_PATH, ask)
  app.post(AUTHORIZE_PATH, { onRequest: refuseOtherOrigins }, decide)

  async function ask(request: FastifyRequest, reply: FastifyReply) {
    const verdict = judgeAuthorize(request.query, context.options)
    if (verdict.ok) {
      const page = consentPage(verdict.request, consents.add(verdict.request))
      // Chromium applies form-action to the redirect that follows the POST as well.
      return sendPage(reply, page, { formAction: new URL(context.options.redirectUri).origin })
    }
    if ('show' in verdict) return sendPage(reply, refusalPage(verdict.show), { status: 400 })
    const { redirect: error, description: error_description, state } = verdict
    return sendBack(reply.code(302), backWith({ error, error_description, ...(state && { state }) }))
  }

  async function decide(request: FastifyRequest, reply: FastifyReply) {
    const agreed = one(request.body, 'decision') === 'authorize'
    const location = consents.decide(one(request.body, 'consent') ?? '', asked =>
      backWith({ ...(agreed ? { code: grant(asked) } : { error: 'access_denied' }), state: asked.state }),
    )
    if (!location) return sendPage(reply, refusalPage('consent'), { status: 400 })
    return sendBack(reply.code(303), location)
  }

  function grant({ event, scope, codeChallenge }: AuthorizeRequest): string {
    const { id: event_id, organization_id } = event.row
    const redirect_uri = context.options.redirectUri
    const consent = { event_id, organization_id, scope, redirect_uri, code_challenge: codeChallenge }
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
