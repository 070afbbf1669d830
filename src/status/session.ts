import { createHash } from 'node:crypto'
import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ConnectionKey } from '../oauth/connections.ts'
import type { Runtime } from '../runtime.ts'
import type { Queries } from '../storage/database.ts'

/** What a browser may see: the connections that it made itself. */
export interface Session {
  readonly connections: readonly ConnectionKey[]
}

export interface Sessions {
  /** Undefined without a live session. */
  read(request: FastifyRequest): Promise<Session | undefined>
  /** Adds a connection under a new session id, so an id known before the consent is worth nothing after it. */
  grant(request: FastifyRequest, reply: FastifyReply, key: ConnectionKey): Promise<void>
}

const LIFETIME_MS = 7 * 24 * 3_600_000
const TOKEN = /^[A-Za-z0-9_-]{43}$/

/** The cookie holds 256 random bits; the store holds their hash. */
export function createSessions(
  query: Queries,
  runtime: Runtime,
  o: { cookiePrefix: string; cookie: CookieSerializeOptions },
): Sessions {
  const cookieName = `${o.cookiePrefix}revento_session`

  async function held(hash: string): Promise<ConnectionKey[]> {
    const rows = await query
      .selectFrom('session_connections')
      .innerJoin('sessions', 'sessions.id_hash', 'session_connections.session_hash')
      .select(['event_id', 'organization_id'])
      .where('session_hash', '=', hash)
      .where('expires_at', '>', runtime.now())
      .execute()
    return rows.map(row => ({ eventId: row.event_id, organizationId: row.organization_id }))
  }

  const hashOf = (request: FastifyRequest) => {
    const token = request.cookies[cookieName]
    return token !== undefined && TOKEN.test(token) ? hashToken(token) : undefined
  }

  return {
    async read(request) {
      const hash = hashOf(request)
      const connections = hash === undefined ? [] : await held(hash)
      return connections.length > 0 ? { connections } : undefined
    },
    async grant(request, reply, key) {
      const oldHash = hashOf(request)
      const kept = oldHash === undefined ? [] : await held(oldHash)
      const token = runtime.bytes(32).toString('base64url')
      const session_hash = hashToken(token)
      const now = runtime.now()
      const others = kept.filter(k => k.eventId !== key.eventId || k.organizationId !== key.organizationId)
      await query.transaction().execute(async trx => {
        await trx.deleteFrom('sessions').where('expires_at', '<=', now).execute()
        if (oldHash !== undefined) await trx.deleteFrom('sessions').where('id_hash', '=', oldHash).execute()
        await trx
          .insertInto('sessions')
          .values({ id_hash: session_hash, created_at: now, expires_at: now + LIFETIME_MS })
          .execute()
        await trx
          .insertInto('session_connections')
          .values(
            [key, ...others].map(k => ({
              session_hash,
              event_id: k.eventId,
              organization_id: k.organizationId,
            })),
          )
          .execute()
      })
      reply.setCookie(cookieName, token, { ...o.cookie, maxAge: LIFETIME_MS / 1000 })
    },
  }
}

const hashToken = (token: string) => createHash('sha256').update(token).digest('base64url')
