import { createHash, timingSafeEqual } from 'node:crypto'
import { type Sealer, verifierPlace } from '../keys/sealing.ts'
import { StorageError } from '../process/errors.ts'
import type { Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { AgedRows } from '../storage/aged-rows.ts'
import type { Queries } from '../storage/database.ts'
import type { GrantKind } from '../storage/schema.ts'
import { transaction } from '../storage/sql.ts'

/** One passage from /connect or /login to /callback. `state`, `cookie` and `codeVerifier` are 256 random bits each, base64url. */
interface StartedFlow {
  readonly state: string
  readonly codeVerifier: string
  /** Each flow has a cookie of its own, so that two tabs both work. */
  readonly cookieName: string
  readonly cookie: string
}

export type Consumed =
  | { ok: true; eventId: string; kind: GrantKind; codeVerifier: string }
  /** `eventId` and `kind` are given only to the browser that began the flow. */
  | {
      ok: false
      reason: 'state_mismatch' | 'state_used' | 'state_expired'
      eventId?: string
      kind?: GrantKind
    }

export interface Flows {
  start(eventId: string, kind?: GrantKind): Promise<StartedFlow>
  cookieName(state: string): string
  /** The names of a browser's oldest flow cookies beyond the limit, to be cleared when a new flow begins. */
  surplus(cookies: Readonly<Record<string, string | undefined>>): string[]
  /** Succeeds once for each flow, and only with the cookie of its browser. */
  consume(state: string, cookie: string | undefined): Promise<Consumed>
}

const STATE = /^[A-Za-z0-9_-]{43}$/
/** A used or expired flow and its cookie are kept this long, so that the page can say which of the two it was. */
export const REMEMBER_MS = 3_600_000

export const flowRows = (ttlMs: number): AgedRows => ({
  table: 'flows',
  key: 'state_hash',
  ends: 'expires_at',
  begins: 'created_at',
  keptMs: REMEMBER_MS,
  longestMs: ttlMs,
})

/** How many tabs of one browser may be at Revento at once. An abandoned flow leaves its cookie. */
const MOST_COOKIES = 10

/** Anybody can start a flow: while this many are under way, /connect answers 503. */
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
    async start(eventId, kind = 'installation') {
      const now = clock.now()
      const flow = { state: random(), codeVerifier: random(), cookie: random() }
      const stateHash = hash(flow.state)
      const row = {
        state_hash: stateHash,
        cookie_hash: hash(flow.cookie),
        verifier: sealer.seal(flow.codeVerifier, verifierPlace(stateHash)),
        event_id: eventId,
        kind,
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
      // A browser without the cookie may have used the flow before, which cleared the cookie.
      if (cookie === undefined || !sameText(row.cookie_hash, hash(cookie)))
        return { ok: false, reason: row.used_at === null ? 'state_mismatch' : 'state_used' }
      const now = clock.now()
      // Opened before the flow is used up: without the key, another process can still finish it.
      const codeVerifier = row.verifier && sealer.open(row.verifier, verifierPlace(stateHash))
      // This statement decides: of two callbacks at the same time, one gets the row.
      const taken = await query
        .updateTable('flows')
        .set({ used_at: now, verifier: null })
        .where('state_hash', '=', stateHash)
        .where('used_at', 'is', null)
        .where('expires_at', '>', now)
        .returning(['event_id', 'kind'])
        .executeTakeFirst()
      if (taken && codeVerifier) return { ok: true, eventId: taken.event_id, kind: taken.kind, codeVerifier }
      return {
        ok: false,
        reason: row.used_at === null && row.expires_at <= now ? 'state_expired' : 'state_used',
        eventId: row.event_id,
        kind: row.kind,
      }
    },
  }
}

const hash = (text: string) => createHash('sha256').update(text).digest('base64url')
const sameText = (a: string, b: string) => timingSafeEqual(Buffer.from(a), Buffer.from(b))
