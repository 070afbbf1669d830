import { sql } from 'kysely'
import type { ConnectionKey } from '../revento/platform.ts'
import type { Queries } from './database.ts'
import { isOf } from './erasures.ts'
import type { ParticipantRecord, Platform } from './schema.ts'
import { isPostgres } from './sql.ts'
import { folded } from './sqlite/sqlite.ts'

interface PeoplePage {
  /** A part of the name, in whatever case and with or without accents. */
  readonly search?: string | undefined
  readonly status?: string | undefined
  /** True for only those who have gone; otherwise only the others. */
  readonly gone?: boolean
  /** The last participant of the page before. */
  readonly after?: { readonly name: string; readonly id: string } | undefined
  readonly limit: number
}

export interface StatusCount {
  /** Null where none is known. */
  readonly status: string | null
  readonly gone: boolean
  readonly n: number
}

export interface People {
  find(of: ConnectionKey, id: string): Promise<ParticipantRecord | undefined>
  /** Sorted by name and then id; somebody without a name stands under the id. */
  page(of: ConnectionKey, page: PeoplePage): Promise<ParticipantRecord[]>
  /** Those whose change here comes after this moment (ms) and id, oldest change first, with those who have gone. */
  changedSince(
    of: ConnectionKey,
    after: { readonly ms: number; readonly id: string },
    limit: number,
  ): Promise<ParticipantRecord[]>
  /** How many have each status. Those who have gone are counted apart, by the status that they had. */
  counts(of: ConnectionKey): Promise<StatusCount[]>
  /** The rows are as of this moment (ms, Revento's clock) or later; undefined before the first complete comparison. */
  freshAsOf(of: ConnectionKey): Promise<number | undefined>
}

/** The name that stands for somebody in a list. */
export const shownName = ({ name, participant_id }: ParticipantRecord): string => name ?? participant_id

export function createPeople(query: Queries, platform: Platform): People {
  const rows = ({ eventId, organizationId }: ConnectionKey) =>
    query
      .selectFrom('participants')
      .where(isOf({ platform, event_id: eventId, organization_id: organizationId }))
  const shown = sql<string>`coalesce(name, participant_id)`
  const holds = (search: string) =>
    isPostgres(query)
      ? sql<boolean>`regexp_replace(normalize(${shown}, NFD), ${`[${ACCENTS}]`}, '', 'g') ~ ${inAnyCase(search)}`
      : sql<boolean>`instr(folded(${shown}), ${folded(search)}) > 0`
  return {
    find: (of, id) => rows(of).selectAll().where('participant_id', '=', id).executeTakeFirst(),
    page: (of, { search, status, gone = false, after, limit }) =>
      rows(of)
        .selectAll()
        .where('gone_at', gone ? 'is not' : 'is', null)
        .$if(status !== undefined, select => select.where('application_status', '=', status ?? ''))
        .$if(search !== undefined, select => select.where(holds(search ?? '')))
        .$if(after !== undefined, select =>
          select.where(sql<boolean>`(${shown}, participant_id) > (${after?.name}, ${after?.id})`),
        )
        .orderBy(shown)
        .orderBy('participant_id')
        .limit(limit)
        .execute(),
    changedSince: (of, { ms, id }, limit) =>
      rows(of)
        .selectAll()
        .where(sql<boolean>`(updated_at, participant_id) > (${sql`cast(${ms} as bigint)`}, ${id})`)
        .orderBy('updated_at')
        .orderBy('participant_id')
        .limit(limit)
        .execute(),
    async counts(of) {
      const gone = sql<number>`case when gone_at is null then 0 else 1 end`
      const groups = rows(of).select(['application_status', gone.as('gone'), eb => eb.fn.countAll().as('n')])
      const counted = await groups
        .groupBy(['application_status', gone])
        .orderBy('application_status')
        .execute()
      return counted.map(({ application_status: status, gone, n }) => ({
        status,
        gone: gone === 1,
        n: Number(n),
      }))
    },
    async freshAsOf({ eventId, organizationId }) {
      const done = await query
        .selectFrom('sync_runs')
        .select('fresh_at')
        .where(isOf({ platform, event_id: eventId, organization_id: organizationId }))
        .where('list', '=', 'participants')
        .where('outcome', '=', 'done')
        .orderBy('id', 'desc')
        .limit(1)
        .executeTakeFirst()
      return done?.fresh_at ? Date.parse(done.fresh_at) : undefined
    },
  }
}

const ACCENTS = '\u0300-\u036f'
const bare = (text: string) => text.normalize('NFD').replace(new RegExp(`[${ACCENTS}]`, 'g'), '')

/** A pattern for PostgreSQL, which may know the case of ASCII letters only. Every character but a letter is literal. */
const inAnyCase = (search: string) =>
  [...bare(search)]
    .map(sign =>
      /\p{L}/u.test(sign)
        ? `[${sign.toLowerCase()}${sign.toUpperCase()}]`
        : sign.replace(/[!-/:-@[-`{-~]/, '\\$&'),
    )
    .join('')
