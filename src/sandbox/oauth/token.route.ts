import { timingSafeEqual } from 'node:crypto'
import formbody from '@fastify/formbody'
import type { FastifyInstance } from 'fastify'
import { TOKEN_PATH } from '../../revento/platform.ts'
import type { Context } from '../context.ts'
import { strike } from '../faults/faults.ts'
import { one, single } from '../fields.ts'
import type { Installation } from '../state.ts'
import { issueTokens, prune, redeemCode, rotate, sha256 } from './tokens.ts'

/** Error codes of RFC 6749 section 5.2. */
type TokenError = 'invalid_request' | 'invalid_client' | 'invalid_grant' | 'unsupported_grant_type'
type Fields = ReadonlyMap<string, string>
type Verdict = { installation: Installation } | { error: TokenError }

const VERIFIER = /^[A-Za-z0-9._~-]{43,128}$/

export async function tokenRoute(app: FastifyInstance, context: Context): Promise<void> {
  const { options, state, clock } = context
  app.removeAllContentTypeParsers()
  await app.register(formbody, { bodyLimit: 16_384 })
  app.setErrorHandler((_err, _request, reply) =>
    reply.code(400).headers(NO_STORE).send({ error: 'invalid_request' }),
  )
  strike(app, {
    faults: context.faults,
    runtime: options.runtime,
    door: 'token',
    refuse(request, reply, { status, error }, fault) {
      note(one(request.body, 'grant_type'), fault, null)
      return reply.headers(NO_STORE).code(status).send({ error })
    },
  })
  app.post(TOKEN_PATH, async (request, reply) => {
    const answer = exchange(request.body)
    context.save()
    reply.headers(NO_STORE).code('error' in answer ? (answer.error === 'invalid_client' ? 401 : 400) : 200)
    return answer
  })

  function exchange(body: unknown) {
    const verdict = judge(single(body))
    const grantType = one(body, 'grant_type')
    if ('error' in verdict) {
      note(grantType, verdict.error, null)
      return verdict
    }
    note(grantType, 'issued', verdict.installation.event_id)
    prune(state, clock.now())
    const tokens = issueTokens(state, verdict.installation, clock)
    const { user_id } = verdict.installation
    if (grantType === 'authorization_code' && user_id === undefined)
      context.deliveries.playStory(verdict.installation)
    return tokens
  }

  function judge(fields: Fields | undefined): Verdict {
    if (!fields) return { error: 'invalid_request' }
    if (!isClient(fields)) return { error: 'invalid_client' }
    const grantType = fields.get('grant_type')
    if (grantType === 'authorization_code') return byCode(fields)
    if (grantType === 'refresh_token') return byRefreshToken(fields)
    return { error: grantType ? 'unsupported_grant_type' : 'invalid_request' }
  }

  function byCode(fields: Fields): Verdict {
    const [code, redirectUri, verifier] = [
      fields.get('code'),
      fields.get('redirect_uri'),
      fields.get('code_verifier'),
    ]
    if (!code || !redirectUri || !verifier || !VERIFIER.test(verifier)) return { error: 'invalid_request' }
    const installation = redeemCode(state, { code, redirectUri, verifier }, clock)
    return installation ? { installation } : { error: 'invalid_grant' }
  }

  function byRefreshToken(fields: Fields): Verdict {
    const token = fields.get('refresh_token')
    if (!token) return { error: 'invalid_request' }
    const installation = rotate(state, token, clock.now())
    return installation ? { installation } : { error: 'invalid_grant' }
  }

  /** Compares hashes of equal length, and both of them, so that the time shows neither which was wrong nor how far. */
  function isClient(fields: Fields): boolean {
    const id = sameText(fields.get('client_id') ?? '', options.clientId)
    const secret = sameText(fields.get('client_secret') ?? '', options.clientSecret)
    return id && secret
  }

  function note(grantType: string | undefined, outcome: string, event_id: string | null) {
    const known = grantType === 'authorization_code' || grantType === 'refresh_token' ? grantType : 'other'
    const at = new Date(options.runtime.now()).toISOString()
    context.tokenRequests.add({ at, grant_type: known, event_id, outcome })
    app.log.info({ grant_type: known, outcome, event_id }, 'sandbox token request')
  }
}

const NO_STORE = { 'cache-control': 'no-store', pragma: 'no-cache' }
const sameText = (a: string, b: string) => timingSafeEqual(Buffer.from(sha256(a)), Buffer.from(sha256(b)))
