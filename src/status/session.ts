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

const SUCCESSION_MS = 60_000
const LIFETIME_MS = 7 * 24 * 3_600_000
const TOKEN = /^[A-Za-z0-9_-]{43}$/

/** The cookie holds 256 random bits; the store holds their hash. */
export function createSessions(
  query: Queries,
  runtime: Runtime,
  o: { cookiePrefix: string; cookie: CookieSerializeOptions },
): Sessions {
  const cookieName = `${o.cookiePrefix}revento_session`

  async function held(trx: Queries, hash: string): Promise<ConnectionKey[]> {
    const rows = await trx
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
      const connections = hash === undefined ? [] : await held(query, hash)
      return connections.length > 0 ? { connections } : undefined
    },
    async grant(request, reply, key) {
      const oldHash = hashOf(request)
      const token = runtime.bytes(32).toString('base64url')
      const isNew = await query.transaction().execute(async trx => {
        await trx.deleteFrom('sessions').where('expires_at', '<=', runtime.now()).execute()
        const successor = oldHash && (await successorOf(trx, oldHash))
        if (successor) await hold(trx, successor, key)
        else await replace(trx, oldHash, hashToken(token), key)
        return !successor
      })
      if (isNew) reply.setCookie(cookieName, token, { ...o.cookie, maxAge: LIFETIME_MS / 1000 })
    },
  }

  /** The old id keeps nothing; for a minute it leads a callback that was under way to the new session. */
  async function replace(trx: Queries, oldHash: string | undefined, hash: string, key: ConnectionKey) {
    const now = runtime.now()
    const session = { id_hash: hash, created_at: now, expires_at: now + LIFETIME_MS }
    await trx.insertInto('sessions').values(session).execute()
    await hold(trx, hash, key)
    if (oldHash === undefined) return
    for (const kept of await held(trx, oldHash)) await hold(trx, hash, kept)
    await trx.deleteFrom('session_connections').where('session_hash', '=', oldHash).execute()
    await trx
      .updateTable('sessions')
      .set({ successor: hash, expires_at: now + SUCCESSION_MS })
      .where('id_hash', '=', oldHash)
      .execute()
  }
}

async function successorOf(trx: Queries, hash: string): Promise<string | undefined> {
  const row = await trx
    .selectFrom('sessions as old')
    .innerJoin('sessions as next', 'next.id_hash', 'old.successor')
    .select('next.id_hash')
    .where('old.id_hash', '=', hash)
    .executeTakeFirst()
  return row?.id_hash
}

async function hold(trx: Queries, session_hash: string, key: ConnectionKey): Promise<void> {
  await trx
    .insertInto('session_connections')
    .values({ session_hash, event_id: key.eventId, organization_id: key.organizationId })
    .onConflict(c => c.doNothing())
    .execute()
}

const hashToken = (token: string) => createHash('sha256').update(token).digest('base64url')
