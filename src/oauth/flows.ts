import { createHash, timingSafeEqual } from 'node:crypto'
import { type Sealer, verifierPlace } from '../keys/sealing.ts'
import { StorageError } from '../process/errors.ts'
import type { Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { AgedRows } from '../storage/aged-rows.ts'
import type { Queries } from '../storage/database.ts'
import { transaction } from '../storage/sql.ts'

/** One pass from /connect to /callback. `state`, `cookie` and `codeVerifier` are 256 random bits, base64url. */
export interface StartedFlow {
  readonly state: string
  readonly codeVerifier: string
  /** Bound to this flow only, so that two tabs both work. */
  readonly cookieName: string
  readonly cookie: string
}

export type Consumed =
  | { ok: true; eventId: string; codeVerifier: string }
  /** `eventId` only for the browser that began the flow. */
  | { ok: false; reason: 'state_mismatch' | 'state_used' | 'state_expired'; eventId?: string }

export interface Flows {
  start(eventId: string): Promise<StartedFlow>
  /** The name of the cookie that belongs to this state. */
  cookieName(state: string): string
  /** Of a browser's cookies, those of its oldest flows: beyond what it needs, to be cleared when one begins. */
  surplus(cookies: Readonly<Record<string, string | undefined>>): string[]
  /** Once per flow, and only with the cookie that its browser holds. */
  consume(state: string, cookie: string | undefined): Promise<Consumed>
}

const STATE = /^[A-Za-z0-9_-]{43}$/
/** A used or expired flow and its cookie are kept this long, to tell the person which of the two it was. */
export const REMEMBER_MS = 3_600_000

export const flowRows = (ttlMs: number): AgedRows => ({
  table: 'flows',
  key: 'state_hash',
  ends: 'expires_at',
  begins: 'created_at',
  keptMs: REMEMBER_MS,
  longestMs: ttlMs,
})

/** So many tabs of one browser may be at Revento at once; each flow that never came back leaves a cookie. */
const MOST_COOKIES = 10

/** Anybody can start one: while this many are under way, /connect answers 503. */
const MAX_FLOWS = 10_000

export function createFlows(
  query: Queries,
  sealer: Sealer,
  runtime: Pick<Runtime, 'bytes'>,
  clock: Pick<SteadyClock, 'now'>,
  o: { ttlMs: number; cookiePrefix: string },
): Flows {
  const random = () => runtime.bytes(32).toString('base64url')
  const prefix = `${o.cookiePrefix}flow_`
  const cookieName = (state: string) => prefix + hash(state).slice(0, 16)
  return {
    cookieName,
    // A browser names the oldest first (RFC 6265 section 5.4).
    surplus: cookies =>
      Object.keys(cookies)
        .filter(name => name.startsWith(prefix))
        .slice(0, 1 - MOST_COOKIES),
    async start(eventId) {
      const now = clock.now()
      const flow = { state: random(), codeVerifier: random(), cookie: random() }
      const stateHash = hash(flow.state)
      const row = {
        state_hash: stateHash,
        cookie_hash: hash(flow.cookie),
        verifier: sealer.seal(flow.codeVerifier, verifierPlace(stateHash)),
        event_id: eventId,
        created_at: now,
        expires_at: now + o.ttlMs,
        used_at: null,
      }
      await transaction(query, async trx => {
        const { live } = await trx
          .selectFrom('flows')
          .select(eb => eb.fn.countAll<number>().as('live'))
          .where('expires_at', '>', now)
          .executeTakeFirstOrThrow()
        if (live >= MAX_FLOWS) throw new StorageError('too_many_flows')
        await trx.insertInto('flows').values(row).execute()
      })
      return { ...flow, cookieName: cookieName(flow.state) }
    },
    async consume(state, cookie) {
      if (!STATE.test(state)) return { ok: false, reason: 'state_mismatch' }
      const stateHash = hash(state)
      const row = await query
        .selectFrom('flows')
        .selectAll()
        .where('state_hash', '=', stateHash)
        .executeTakeFirst()
      if (!row) return { ok: false, reason: 'state_mismatch' }
      // Its cookie was cleared when the flow was used.
      if (cookie === undefined || !sameText(row.cookie_hash, hash(cookie)))
        return { ok: false, reason: row.used_at === null ? 'state_mismatch' : 'state_used' }
      const now = clock.now()
      // Before it is used up: under a key that this process was not given, another one can still finish it.
      const codeVerifier = row.verifier && sealer.open(row.verifier, verifierPlace(stateHash))
      // The one statement that decides: of two callbacks that come together, one gets the row.
      const taken = await query
        .updateTable('flows')
        .set({ used_at: now, verifier: null })
        .where('state_hash', '=', stateHash)
        .where('used_at', 'is', null)
        .where('expires_at', '>', now)
        .returning('event_id')
        .executeTakeFirst()
      if (taken && codeVerifier) return { ok: true, eventId: taken.event_id, codeVerifier }
      return {
        ok: false,
        reason: row.used_at === null && row.expires_at <= now ? 'state_expired' : 'state_used',
        eventId: row.event_id,
      }
    },
  }
}

const hash = (text: string) => createHash('sha256').update(text).digest('base64url')
const sameText = (a: string, b: string) => timingSafeEqual(Buffer.from(a), Buffer.from(b))
