import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../http/errors.ts'
import { createSessionCookie } from '../http/session-cookie.ts'
import { StorageError } from '../process/errors.ts'
import type { Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { AgedRows } from '../storage/aged-rows.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform } from '../storage/schema.ts'
import { isPostgres, lock, transaction } from '../storage/sql.ts'
import type { ConnectionKey } from './connections.ts'

/** The session of a browser in which an event was connected. What it may see is decided by oauth/entitlement. */
export interface Session {
  /** The hash of the cookie's value, which is all that the store has. */
  readonly id: string
  /** A token that stands in each form: only a page made for this session knows it. */
  readonly formToken: string
  /** The connections made in it, on this platform. */
  readonly connections: readonly ConnectionKey[]
}

export interface Sessions {
  /** Returns the live session of the request's cookie, if there is one, and renews its idle limit. */
  read(request: FastifyRequest): Promise<Session | undefined>
  /** Returns which of these sessions are alive, with their connections; renews nothing. */
  alive(ids: readonly string[]): Promise<Map<string, ConnectionKey[]>>
  /** Logs out: copies of the cookie are worthless from then on. */
  end(session: Session, reply: FastifyReply): Promise<void>
  /** Adds a connection under a new session id, so that an id known before the consent is worthless after it. */
  grant(request: FastifyRequest, reply: FastifyReply, key: ConnectionKey): Promise<void>
}

/** Throws `unauthenticated` without a live session. */
export async function signedIn(sessions: Pick<Sessions, 'read'>, request: FastifyRequest): Promise<Session> {
  const session = await sessions.read(request)
  if (!session) throw new AppError('unauthenticated')
  return session
}

/** A session ends after this time however often it is used. */
const LIFETIME_MS = 7 * 24 * 3_600_000
const IDLE_MS = 24 * 3_600_000
/** How long a replaced session leads a callback that was under way to its successor. */
const SUCCESSION_MS = 60_000
/** The idle limit is renewed at most this often, because that writes. */
const NOTED_EVERY_MS = 5 * 60_000
export const SESSION_ROWS: AgedRows = {
  table: 'sessions',
  key: 'id_hash',
  ends: 'expires_at',
  begins: 'created_at',
  keptMs: 0,
  longestMs: IDLE_MS,
}
/** How many sessions a connection has at most. */
export const MOST_SESSIONS = 100

export function createSessions(
  query: Queries,
  runtime: Pick<Runtime, 'bytes'>,
  clock: Pick<SteadyClock, 'now'>,
  o: { cookiePrefix: string; cookie: CookieSerializeOptions; platform: Platform },
): Sessions {
  const cookie = createSessionCookie(`${o.cookiePrefix}revento_session`, LIFETIME_MS, o.cookie, runtime)

  async function alive(ids: readonly string[], trx = query): Promise<Map<string, ConnectionKey[]>> {
    if (ids.length === 0) return new Map()
    const rows = await trx
      .selectFrom('session_connections')
      .innerJoin('sessions', 'sessions.id_hash', 'session_connections.session_hash')
      .select(['id_hash', 'event_id', 'organization_id'])
      .where('session_hash', 'in', ids)
      .where('platform', '=', o.platform)
      .where('expires_at', '>', clock.now())
      .execute()
    const found = new Map<string, ConnectionKey[]>()
    for (const { id_hash, event_id, organization_id } of rows) {
      const key = { eventId: event_id, organizationId: organization_id }
      found.set(id_hash, [...(found.get(id_hash) ?? []), key])
    }
    return found
  }
  const connectionsOf = async (trx: Queries, id: string) => (await alive([id], trx)).get(id) ?? []

  /** A failure to write is ignored, so that pages can be read while the store cannot write. */
  async function putOff(id: string, until: number): Promise<void> {
    try {
      await query
        .updateTable('sessions')
        .set({ expires_at: until })
        .where('id_hash', '=', id)
        .where('successor', 'is', null)
        .execute()
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
    }
  }

  return {
    async read(request) {
      const secret = cookie.read(request)
      if (secret === undefined) return undefined
      const { id, formToken } = secret
      const connections = await connectionsOf(query, id)
      if (connections.length === 0) return undefined
      const times = query
        .selectFrom('sessions')
        .select(['created_at', 'expires_at'])
        .where('id_hash', '=', id)
      const row = await times.executeTakeFirst()
      if (!row) return undefined
      const until = Math.min(clock.now() + IDLE_MS, row.created_at + LIFETIME_MS)
      if (until - row.expires_at > NOTED_EVERY_MS) await putOff(id, until)
      return { id, connections, formToken }
    },
    alive,
    async end({ id }, reply) {
      await query.deleteFrom('sessions').where('id_hash', '=', id).execute()
      cookie.clear(reply)
    },
    async grant(request, reply, key) {
      const oldHash = cookie.read(request)?.id
      const secret = cookie.make()
      const isNew = await transaction(query, async trx => {
        // Of two callbacks at once with the same session, the second finds the successor.
        if (oldHash) await lock(trx, `session ${oldHash}`)
        const successor = oldHash && (await successorOf(trx, oldHash))
        if (!successor) await replace(trx, oldHash, secret.id, key)
        else if (await joins(trx, successor, key)) return false
        // The successor's cookie may have been lost with an answer, so this consent gets a session of its own.
        else await begin(trx, secret.id, key)
        return true
      })
      if (isNew) cookie.set(reply, secret)
    },
  }

  /** Moves the connections to the new session. The old id has none then; for a minute it leads to its successor. */
  async function replace(trx: Queries, oldHash: string | undefined, hash: string, key: ConnectionKey) {
    await begin(trx, hash, key)
    if (oldHash === undefined) return
    for (const kept of await connectionsOf(trx, oldHash)) await addConnection(trx, hash, kept)
    await trx.deleteFrom('session_connections').where('session_hash', '=', oldHash).execute()
    await trx
      .updateTable('sessions')
      .set({ successor: hash, expires_at: clock.now() + SUCCESSION_MS })
      .where('id_hash', '=', oldHash)
      .execute()
  }

  async function begin(trx: Queries, hash: string, key: ConnectionKey) {
    const now = clock.now()
    await trx
      .insertInto('sessions')
      .values({ id_hash: hash, created_at: now, expires_at: now + IDLE_MS, platform: o.platform })
      .execute()
    await addConnection(trx, hash, key)
    await endOldest(trx, key, o.platform)
  }

  /** Adds the connection, and returns whether the session has others. */
  async function joins(trx: Queries, hash: string, key: ConnectionKey): Promise<boolean> {
    await addConnection(trx, hash, key)
    return (await connectionsOf(trx, hash)).length > 1
  }
}

async function successorOf(trx: Queries, hash: string): Promise<string | undefined> {
  const row = await trx
    .selectFrom('sessions as old')
    .innerJoin('sessions as next', 'next.id_hash', 'old.successor')
    .select('next.id_hash')
    .where('old.id_hash', '=', hash)
    // A logout waits until the connection added to the successor is committed.
    .$if(isPostgres(trx), select => select.forKeyShare())
    .executeTakeFirst()
  return row?.id_hash
}

async function addConnection(trx: Queries, session_hash: string, key: ConnectionKey): Promise<void> {
  await trx
    .insertInto('session_connections')
    .values({ session_hash, event_id: key.eventId, organization_id: key.organizationId })
    .onConflict(c => c.doNothing())
    .execute()
}

/** Ends the oldest sessions of a connection that is made again and again. */
async function endOldest(trx: Queries, key: ConnectionKey, platform: Platform): Promise<void> {
  const beyond = trx
    .selectFrom('session_connections')
    .innerJoin('sessions', 'sessions.id_hash', 'session_connections.session_hash')
    .select('id_hash')
    .where('event_id', '=', key.eventId)
    .where('organization_id', '=', key.organizationId)
    .where('platform', '=', platform)
    .orderBy('created_at', 'desc')
    .orderBy('id_hash')
    .limit(MOST_SESSIONS)
    .offset(MOST_SESSIONS)
  await trx.deleteFrom('sessions').where('id_hash', 'in', beyond).execute()
}
