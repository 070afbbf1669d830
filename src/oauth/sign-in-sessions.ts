import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../http/errors.ts'
import { createSessionCookie } from '../http/session-cookie.ts'
import type { Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { SignInKey } from '../revento/platform.ts'
import type { AgedRows } from '../storage/aged-rows.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform } from '../storage/schema.ts'
import { MOST_SESSIONS } from './sessions.ts'

/** A participant's browser. An organizer's session (see sessions.ts) has a cookie and a table of its own. */
export interface SignInSession {
  readonly key: SignInKey
  /** A token that stands in each form: only a page made for this session knows it. */
  readonly formToken: string
}

export interface SignInSessions {
  read(request: FastifyRequest): Promise<SignInSession | undefined>
  /** Begins a session in place of the browser's last one, so that an id known before the consent is worthless after it. */
  begin(request: FastifyRequest, reply: FastifyReply, key: SignInKey): Promise<void>
  end(request: FastifyRequest, reply: FastifyReply): Promise<void>
}

const LIFETIME_MS = 7 * 24 * 3_600_000

export const SIGN_IN_SESSION_ROWS: AgedRows = {
  table: 'sign_in_sessions',
  key: 'id_hash',
  ends: 'expires_at',
  keptMs: 0,
  longestMs: LIFETIME_MS,
}

/** Throws `not_signed_in` without a live session. */
export async function participantOf(
  sessions: SignInSessions | undefined,
  request: FastifyRequest,
): Promise<SignInSession> {
  const session = await sessions?.read(request)
  if (!session) throw new AppError('not_signed_in')
  return session
}

export function createSignInSessions(
  query: Queries,
  runtime: Pick<Runtime, 'bytes'>,
  clock: Pick<SteadyClock, 'now'>,
  o: { cookiePrefix: string; cookie: CookieSerializeOptions; platform: Platform },
): SignInSessions {
  const cookie = createSessionCookie(`${o.cookiePrefix}revento_me`, LIFETIME_MS, o.cookie, runtime)
  async function remove(request: FastifyRequest): Promise<void> {
    const secret = cookie.read(request)
    if (secret) await query.deleteFrom('sign_in_sessions').where('id_hash', '=', secret.id).execute()
  }
  return {
    async read(request) {
      const secret = cookie.read(request)
      if (secret === undefined) return undefined
      const row = await query
        .selectFrom('sign_in_sessions')
        .innerJoin('sign_ins', 'sign_ins.id', 'sign_in')
        .select(['sign_in', 'event_id'])
        .where('id_hash', '=', secret.id)
        .where('platform', '=', o.platform)
        .where('expires_at', '>', clock.now())
        .executeTakeFirst()
      if (!row) return undefined
      const { formToken } = secret
      return { key: { eventId: row.event_id, signIn: row.sign_in }, formToken }
    },
    async begin(request, reply, key) {
      await remove(request)
      const secret = cookie.make()
      const now = clock.now()
      const row = {
        id_hash: secret.id,
        sign_in: key.signIn,
        created_at: now,
        expires_at: now + LIFETIME_MS,
      }
      await query.insertInto('sign_in_sessions').values(row).execute()
      const beyond = query
        .selectFrom('sign_in_sessions')
        .select('id_hash')
        .where('sign_in', '=', key.signIn)
        .orderBy('created_at', 'desc')
        .orderBy('id_hash')
        .limit(MOST_SESSIONS)
        .offset(MOST_SESSIONS)
      await query.deleteFrom('sign_in_sessions').where('id_hash', 'in', beyond).execute()
      cookie.set(reply, secret)
    },
    async end(request, reply) {
      await remove(request)
      cookie.clear(reply)
    },
  }
}
