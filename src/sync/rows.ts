import { sql } from 'kysely'
import type { Queries } from '../storage/database.ts'
import { isOf } from '../storage/erasures.ts'
import { integer, records, text } from '../storage/sql.ts'
import { listOf, type Stored } from './lists.ts'
import type { RunRow } from './runs.ts'

/** After so many passes over a list that never rests, nobody counts as gone. */
const MOST_PASSES = 5

/**
 * A list moves while it is read: when somebody leaves it, all behind move up, and one slips past a page's border unseen. So
 * further passes are made while somebody is missed, until a pass sees everybody whom the pass before it saw.
 */
export async function nextPass(trx: Queries, run: RunRow): Promise<Partial<Pick<RunRow, 'phase' | 'pass'>>> {
  const missed = await unseen(trx, run, run.pass).select('seen_run').limit(1).executeTakeFirst()
  const isSettled = run.pass > 1 && !(await hasLost(trx, run))
  if (!missed || isSettled || run.pass === MOST_PASSES) return { phase: 'judge' }
  return { phase: 'confirm', pass: run.pass + 1 }
}

/** Whether the pass before saw somebody whom this one has missed. */
export const hasLost = (trx: Queries, run: RunRow) =>
  trx
    .selectFrom(run.list)
    .select('seen_run')
    .where(isOf(run))
    .where('seen_run', '=', run.id)
    .where('seen_pass', '=', run.pass - 1)
    .limit(1)
    .executeTakeFirst()

/** Rows that no pass from `since` on has seen. Rows with a webhook since the run began are left out: their page may be older. */
export const unseen = (trx: Queries, run: RunRow, since: number) =>
  trx
    .selectFrom(run.list)
    .where(isOf(run))
    .where(eb => eb.or([eb('seen_run', '<', run.id), eb('seen_pass', '<', since)]))
    .where('gone_at', 'is', null)
    .$if(listOf(run).isHeardOf, heard => heard.where('occurred_at', '<', run.fresh_at ?? ''))

export const among = (ids: readonly string[]) =>
  sql<string>`(select ${text('id')} from ${records(ids.map(id => ({ id })))})`

export const knownAmong = (trx: Queries, run: RunRow, ids: readonly string[]): Promise<Stored[]> =>
  trx.selectFrom(run.list).selectAll().where(isOf(run)).where(listOf(run).column, 'in', among(ids)).execute()

/** Writes rows by one statement for each list, whose text never changes; see storage/sql. */
export async function write(trx: Queries, run: RunRow, rows: readonly object[]) {
  if (rows.length === 0) return
  const { platform, event_id, organization_id } = run
  const { name, column, texts, numbers } = listOf(run)
  const written = [...texts, ...numbers]
  const columns = sql.join(written.map(name => sql.ref(name)))
  const values = sql.join([...texts.map(text), ...numbers.map(integer)])
  const taken = sql.join(written.map(name => sql`${sql.ref(name)} = ${sql.ref(`excluded.${name}`)}`))
  await sql`insert into ${sql.table(name)} (platform, event_id, organization_id, ${columns})
    select ${platform}, ${event_id}, ${organization_id}, ${values} from ${records(rows)} where true
    on conflict (platform, event_id, organization_id, ${sql.ref(column)}) do update set ${taken}`.execute(trx)
}
