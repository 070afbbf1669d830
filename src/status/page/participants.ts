import type { ConnectionKey } from '../../oauth/connections.ts'
import { type People, type StatusCount, shownName } from '../../storage/people.ts'
import type { ParticipantRecord } from '../../storage/schema.ts'
import type { Sync, SyncState } from '../../sync/index.ts'
import type { View } from './view.ts'

/** A page of the participants as they are stored here, and how fresh that is. */
export interface Listing extends SyncState {
  readonly rows: readonly ParticipantRecord[]
  readonly counts: readonly StatusCount[]
  /** The id of the last participant of this page; undefined where no more follow. */
  readonly next: string | undefined
}

export interface ListingOptions {
  readonly people: Pick<People, 'find' | 'page' | 'counts'>
  readonly sync: Pick<Sync, 'state'>
}

/** The rows of a page: about two screens of a phone. */
const ROWS = 25
/** The filter for those whom Revento does not list any more. */
export const GONE = 'gone'

export async function listParticipants(
  { people, sync }: ListingOptions,
  of: ConnectionKey,
  { search, status, after }: View,
): Promise<Listing> {
  const last = after === undefined ? undefined : await people.find(of, after)
  const isGone = status === GONE
  const [state, counts, rows] = await Promise.all([
    sync.state(of),
    people.counts(of),
    people.page(of, {
      search,
      ...(isGone ? { gone: true } : { status }),
      after: last && { name: shownName(last), id: last.participant_id },
      limit: ROWS + 1,
    }),
  ])
  const shown = rows.slice(0, ROWS)
  return {
    ...state,
    counts,
    rows: shown,
    next: rows.length > ROWS ? shown.at(-1)?.participant_id : undefined,
  }
}
