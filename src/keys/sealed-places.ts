import type { Place } from './sealing.ts'

/** Where each sealed value stands. Part of what is sealed: a change here makes stored values unreadable. */
export const tokenPlace = (
  row: { event_id: string; organization_id: string },
  column: 'access_token' | 'refresh_token',
): Place => ({ table: 'connections', row: `${row.event_id} ${row.organization_id}`, column })

export const verifierPlace = (stateHash: string): Place => ({
  table: 'flows',
  row: stateHash,
  column: 'verifier',
})

export const checkPlace = (keyId: string): Place => ({
  table: 'sealing_keys',
  row: keyId,
  column: 'check_value',
})
