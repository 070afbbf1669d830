import { hash, timingSafeEqual } from 'node:crypto'
import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createSessionCookie } from '../http/session-cookie.ts'
import type { Sealer } from '../keys/sealing.ts'
import type { Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { AgedRows } from '../storage/aged-rows.ts'
import type { Queries } from '../storage/database.ts'

/** The session of a browser in which OPERATOR_TOKEN was typed. It has nothing in common with an organizer's. */
export interface OperatorSession {
  /** The hash of the cookie's value, which is all that the store has. */
  readonly id: string
  /** A token that stands in each form: only a page made for this session knows it. */
  readonly formToken: string
}

export interface OperatorSessions {
  /** Compares in constant time. */
  isToken(typed: string): boolean
  begin(reply: FastifyReply): Promise<void>
  read(request: FastifyRequest): Promise<OperatorSession | undefined>
  alive(ids: readonly string[]): Promise<Map<string, true>>
  end(session: OperatorSession, reply: FastifyReply): Promise<void>
}

/** The length of a working day. A session is not renewed. */
const LIFETIME_MS = 12 * 3_600_000

export const OPERATOR_SESSION_ROWS: AgedRows = {
  table: 'operator_sessions',
  key: 'id_hash',
  ends: 'expires_at',
  begins: 'created_at',
  keptMs: 0,
  longestMs: LIFETIME_MS,
}

/** The store has a mark of the token under which a session began. */
export function createOperatorSessions(
  query: Queries,
  runtime: Pick<Runtime, 'bytes'>,
  clock: Pick<SteadyClock, 'now'>,
  o: { token: string; cookiePrefix: string; cookie: CookieSerializeOptions },
): OperatorSessions {
  const cookie = createSessionCookie(`${o.cookiePrefix}revento_operator`, LIFETIME_MS, o.cookie, runtime)
  const token_mark = markOf(o.token)

  async function alive(ids: readonly string[]): Promise<Map<string, true>> {
    if (ids.length === 0) return new Map()
    const rows = await query
      .selectFrom('operator_sessions')
      .select('id_hash')
      .where('id_hash', 'in', ids)
      .where('token_mark', '=', token_mark)
      .where('expires_at', '>', clock.now())
      .execute()
    return new Map(rows.map(row => [row.id_hash, true]))
  }

  return {
    isToken: typed => timingSafeEqual(Buffer.from(markOf(typed)), Buffer.from(token_mark)),
    async begin(reply) {
      const secret = cookie.make()
      const created_at = clock.now()
      await query
        .insertInto('operator_sessions')
        .values({ id_hash: secret.id, token_mark, created_at, expires_at: created_at + LIFETIME_MS })
        .execute()
      cookie.set(reply, secret)
    },
    async read(request) {
      const secret = cookie.read(request)
      if (secret === undefined || !(await alive([secret.id])).has(secret.id)) return undefined
      const { id, formToken } = secret
      return { id, formToken }
    },
    alive,
    async end({ id }, reply) {
      await query.deleteFrom('operator_sessions').where('id_hash', '=', id).execute()
      cookie.clear(reply)
    },
  }
}

/** The token in development. It is made from the database's own key, so that it stays the same from start to start. */
export const developmentToken = ({ fingerprints }: Pick<Sealer, 'fingerprints'>): string =>
  ['operator token', 'operator token, second half'].map(text => fingerprints(text)[0]).join('')

/** A hash of the same length for any text. It does not help to guess a token, which has 32 characters or more. */
const markOf = (token: string) => hash('sha256', `operator token ${token}`, 'base64url')
