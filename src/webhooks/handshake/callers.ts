import { isOlderThan, type SteadyClock } from '../../process/trusted-time.ts'
import type { AgedRows } from '../../storage/aged-rows.ts'
import type { Queries } from '../../storage/database.ts'
import { transaction } from '../../storage/sql.ts'

/** How long a caller may post after it showed the token. */
const REGISTERED_MS = 24 * 60 * 60 * 1000
const MOST = 1_000
const BATCH = 200

/** A row stays as long after its end as it was valid, so that a late caller hears `expired`. */
export const CALLER_ROWS: AgedRows = {
  table: 'handshake_callers',
  key: 'address',
  ends: 'registered_at',
  keptMs: 2 * REGISTERED_MS,
  longestMs: 0,
}

/** The addresses that showed the token; rows, so that they outlive a restart. */
export interface HandshakeCallers {
  register(address: string): Promise<void>
  /** `expired` once: the registration is removed with it. */
  check(address: string): Promise<'registered' | 'expired' | 'unknown'>
}

export function createHandshakeCallers(query: Queries, clock: SteadyClock): HandshakeCallers {
  return {
    register: address =>
      transaction(query, async trx => {
        const registered_at = clock.now()
        await trx
          .insertInto('handshake_callers')
          .values({ address, registered_at })
          .onConflict(c => c.column('address').doUpdateSet({ registered_at }))
          .execute()
        // The newest MOST rows stay. A surplus that an older version left goes within a few registrations.
        const rest = trx
          .selectFrom('handshake_callers')
          .select('address')
          .orderBy('registered_at', 'desc')
          .limit(BATCH)
          .offset(MOST)
        await trx.deleteFrom('handshake_callers').where('address', 'in', rest).execute()
      }),
    async check(address) {
      const caller = await query
        .selectFrom('handshake_callers')
        .select('registered_at')
        .where('address', '=', address)
        .executeTakeFirst()
      if (!caller) return 'unknown'
      if (!isOlderThan(caller.registered_at, REGISTERED_MS, clock.now())) return 'registered'
      // While the clock is not believed, the caller is refused but its row stays: it may be in time by the right clock.
      if (clock.oldBefore(REGISTERED_MS) === undefined) return 'expired'
      await query
        .deleteFrom('handshake_callers')
        .where('address', '=', address)
        .where('registered_at', '=', caller.registered_at)
        .execute()
      return 'expired'
    },
  }
}
