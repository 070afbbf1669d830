import { sql } from 'kysely'
import type { Queries } from '../storage/database.ts'
import { isOf, type Owner } from '../storage/erasures.ts'
import type { ParticipantRecord } from '../storage/schema.ts'
import { integer, records, text } from '../storage/sql.ts'
import type { Listed } from './compare.ts'
import type { RunRow } from './runs.ts'

/** In a list that never rests nobody is judged. */
const MOST_PASSES = 5

/**
 * Whom a pass has missed may have been hidden: when somebody before them leaves the list while it is read, all behind
 * move up, and one slips past a page's border. The next pass then misses who has left. So another pass is made as long
 * as somebody is missed, until one sees everybody whom the pass before it saw.
 */
export async function nextPass(trx: Queries, run: RunRow): Promise<Partial<Pick<RunRow, 'phase' | 'pass'>>> {
  const missed = await unseen(trx, run, run.pass).select('participant_id').limit(1).executeTakeFirst()
  const isSettled = run.pass > 1 && !(await hasLost(trx, run))
  if (!missed || isSettled || run.pass === MOST_PASSES) return { phase: 'judge' }
  return { phase: 'confirm', pass: run.pass + 1 }
}

/** Whether the pass before had seen somebody whom this one has not. */
export const hasLost = (trx: Queries, run: RunRow) =>
  trx
    .selectFrom('participants')
    .select('participant_id')
    .where(isOf(run))
    .where('seen_run', '=', run.id)
    .where('seen_pass', '=', run.pass - 1)
    .limit(1)
    .executeTakeFirst()

/** Whom no pass from this one on has seen. Of whom an event has told since the run began is not judged: their page may be older. */
export const unseen = (trx: Queries, run: RunRow, since: number) =>
  trx
    .selectFrom('participants')
    .where(isOf(run))
    .where(eb => eb.or([eb('seen_run', '<', run.id), eb('seen_pass', '<', since)]))
    .where('gone_at', 'is', null)
    .where('occurred_at', '<', run.fresh_at ?? '')

export const among = (ids: readonly string[]) =>
  sql<string>`(select ${text('id')} from ${records(ids.map(id => ({ id })))})`

export const knownAmong = (
  trx: Queries,
  owner: Owner,
  ids: readonly string[],
): Promise<ParticipantRecord[]> =>
  trx
    .selectFrom('participants')
    .selectAll()
    .where(isOf(owner))
    .where('participant_id', 'in', among(ids))
    .execute()

const TEXTS = [
  ...['participant_id', 'name', 'name_at', 'application_status', 'status_at', 'data', 'data_at', 'role'],
  ...['last_reviewed_at', 'last_reviewer_id', 'last_review_action', 'last_type', 'occurred_at', 'listed_at'],
  'gone_at',
] as const satisfies (keyof Listed)[]
const NUMBERS = [
  ...['name_delivery', 'status_delivery', 'data_delivery', 'last_delivery', 'first_seen_at', 'seen_run'],
  'seen_pass',
  'updated_at',
] as const satisfies (keyof Listed)[]
const COLUMNS = [...TEXTS, ...NUMBERS]

/** One statement whose text never changes; see storage/sql. */
export async function write(
  trx: Queries,
  { platform, event_id, organization_id }: Owner,
  rows: readonly Listed[],
) {
  if (rows.length === 0) return
  const columns = sql.join(COLUMNS.map(name => sql.ref(name)))
  const values = sql.join([...TEXTS.map(text), ...NUMBERS.map(integer)])
  const taken = sql.join(COLUMNS.map(name => sql`${sql.ref(name)} = ${sql.ref(`excluded.${name}`)}`))
  await sql`insert into participants (platform, event_id, organization_id, ${columns})
    select ${platform}, ${event_id}, ${organization_id}, ${values} from ${records(rows)} where true
    on conflict (platform, event_id, organization_id, participant_id) do update set ${taken}`.execute(trx)
}
