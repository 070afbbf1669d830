import type { Schema } from '../../../storage/schema.ts'
import { trialOf } from './deliveries.ts'
import { Failed } from './failed.ts'
import { HANDLERS_FOLDER, handledTypes, handlerFile } from './handler-files.ts'
import type { Effects, World } from './world.ts'

/** The app's own book-keeping. Every other table counts, also those that you add. */
const BOOKKEEPING: Record<Exclude<keyof Schema, 'participants' | 'erasures' | 'connections'>, true> = {
  flows: true,
  sessions: true,
  session_connections: true,
  inbox: true,
  delivery_keys: true,
  attempts: true,
  effects: true,
  health: true,
  sealing_keys: true,
  inline_answers: true,
  handshake_callers: true,
  key_uses: true,
  api_budgets: true,
  key_instances: true,
}
const COLUMNS_OF: Readonly<Record<string, readonly string[]>> = {
  connections: ['event_id', 'state'],
  erasures: ['event_id', 'organization_id'],
}

/** Times and numbers of rows and deliveries differ from run to run; nothing else may. */
export function effects(world: World): Effects {
  const tables = world.read<{ name: string }>(
    `select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' and name not like 'kysely_%'`,
  )
  const counted = tables.map(({ name }) => name).filter(name => !Object.hasOwn(BOOKKEEPING, name))
  return new Map(counted.map(name => [name, rowsOf(world, name)]))
}

function rowsOf(world: World, table: string): string[] {
  const columns = world
    .read<{ name: string; type: string; pk: number }>(
      `select name, type, pk from pragma_table_info('${table}')`,
    )
    .filter(({ name, type, pk }) => !/_(at|delivery)$/.test(name) && !(pk > 0 && /^integer$/i.test(type)))
    .map(({ name }) => name)
    .filter(name => COLUMNS_OF[table]?.includes(name) ?? true)
  if (columns.length === 0) return world.read(`select 'row' from "${table}"`).map(() => 'row')
  const list = columns.map(name => `"${name}"`).join(', ')
  return world.read<object>(`select ${list} from "${table}"`).map(row => JSON.stringify(row))
}

/** Fails with the first row that `when` changed, and the handler that it comes from. */
export function expectSame(when: string, found: Effects, wanted: Effects): void {
  for (const table of new Set([...wanted.keys(), ...found.keys()])) {
    const [now, before] = [found.get(table) ?? [], wanted.get(table) ?? []]
    const added = without(now, before)
    const missing = without(before, now)
    if (added.length + missing.length === 0) continue
    const [one = missing[0] ?? ''] = added
    const file = culprit(one)
    const told = [
      ...missing.slice(0, 1).map(row => `was ${row}`),
      ...added.slice(0, 1).map(row => `is ${row}`),
    ]
    throw new Failed(`${when} left something else in "${table}": ${told.join(', ')}. From ${file}`, file)
  }
}

/** The rows of the first list that the second does not have, as often as they are too many. */
function without(rows: readonly string[], others: readonly string[]): string[] {
  const left = [...others]
  return rows.filter(row => {
    const at = left.indexOf(row)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/** Ids of the drill name the type they were sent for; else the row may name it itself. */
function culprit(row: string): string {
  const types = handledTypes('revento').toSorted((a, b) => b.length - a.length)
  if (row.includes(trialOf('documented'))) return handlerFile('revento', 'application.approved')
  const type =
    types.find(one => row.includes(`${trialOf(one)}`)) ?? types.find(one => row.includes(`"${one}"`))
  return type ? handlerFile('revento', type) : `one of ${HANDLERS_FOLDER}`
}
