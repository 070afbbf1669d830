import type { ConnectionKey, ParticipantRow } from '../revento/platform.ts'
import type { Queries } from '../storage/database.ts'
import { rowOf } from '../storage/participant-rows.ts'
import { createPeople, shownName } from '../storage/people.ts'
import type { ParticipantRecord, Platform } from '../storage/schema.ts'

/** The builder's choices for comparisons; see src/integration/sync.ts. */
export interface SyncChoices {
  readonly tellFirstRun: boolean
}

/** A participant of an event as Revento described them last. Moments are ms since 1970. */
export interface Participant {
  readonly id: string
  readonly name: string | undefined
  /** `pending`, `approved`, `rejected`, `revision_requested`, or what Revento has added since. */
  readonly status: string | undefined
  readonly role: string | undefined
  /** Revento's whole row, with what webhooks changed since. It has only the id where only an application is known. */
  readonly row: ParticipantRow
  /** When this app first heard of them, and when it last heard something new. */
  readonly firstSeenAt: number
  readonly changedAt: number
  /** Since when Revento does not list them any more. */
  readonly goneAt: number | undefined
}

export interface ParticipantFilter {
  readonly status?: string
  /** A part of the name, in whatever case. */
  readonly search?: string
  /** True for only those who have gone; otherwise only the others. */
  readonly gone?: boolean
}

/** The stored participants of one connection, read without a request to Revento and without a limit. */
export interface Participants {
  /** Finds somebody who has gone, too. */
  find(participantId: string): Promise<Participant | undefined>
  /** Sorted by name. */
  list(filter?: ParticipantFilter): AsyncIterable<Participant>
  /** The participants whose `changedAt` is this moment (ms) or later, in that order, with those who have gone. */
  changedSince(ms: number): AsyncIterable<Participant>
  /** The stored rows are as of this moment (ms) or later; undefined before the first complete comparison. */
  freshAsOf(): Promise<number | undefined>
}

const PAGE = 200

export function createParticipants(
  query: Queries,
  platform: Platform,
  key: ConnectionKey,
  signal?: AbortSignal,
): Participants {
  const people = createPeople(query, platform)
  return {
    async find(id) {
      signal?.throwIfAborted()
      const found = await people.find(key, id)
      return found && participantOf(found)
    },
    async *list(filter = {}) {
      for (let after: { name: string; id: string } | undefined; ; ) {
        signal?.throwIfAborted()
        const rows = await people.page(key, { ...filter, after, limit: PAGE })
        yield* rows.map(participantOf)
        const last = rows.at(-1)
        if (!last || rows.length < PAGE) return
        after = { name: shownName(last), id: last.participant_id }
      }
    },
    async *changedSince(ms) {
      for (let after = { ms, id: '' }; ; ) {
        signal?.throwIfAborted()
        const rows = await people.changedSince(key, after, PAGE)
        yield* rows.map(participantOf)
        const last = rows.at(-1)
        if (!last || rows.length < PAGE) return
        after = { ms: last.updated_at, id: last.participant_id }
      }
    },
    async freshAsOf() {
      signal?.throwIfAborted()
      return people.freshAsOf(key)
    },
  }
}

function participantOf(record: ParticipantRecord): Participant {
  const { gone_at } = record
  return {
    id: record.participant_id,
    name: record.name ?? undefined,
    status: record.application_status ?? undefined,
    role: record.role ?? undefined,
    row: rowOf(record),
    firstSeenAt: record.first_seen_at,
    changedAt: record.updated_at,
    goneAt: gone_at === null ? undefined : Date.parse(gone_at),
  }
}
