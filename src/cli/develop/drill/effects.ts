import type { Schema } from '../../../storage/schema.ts'
import { OUR_TABLES } from '../../../storage/tables.ts'
import { membersOf } from '../../../webhooks/verify/provider.ts'
import { HANDLERS_FOLDER, handledTypes, handlerFile, trialOf } from './deliveries.ts'
import type { World } from './open-world.ts'
import { type Effects, EVENT, Failed } from './world.ts'

/** Tables of ours that say what a handler did. Every other one is book-keeping; the tables that you add count, too. */
const EFFECTS: readonly string[] = ['participants', 'erasures', 'connections']
const BOOKKEEPING: readonly string[] = OUR_TABLES.filter(name => !EFFECTS.includes(name))
const COLUMNS_OF: Readonly<Record<string, readonly string[]>> = {
  connections: ['event_id', 'state'],
  erasures: ['event_id', 'organization_id'],
}

/** What the handlers left behind. Times and the numbers of rows and deliveries are left out: they differ by themselves. */
export function effects(world: World): Effects {
  const tables = world.read<{ name: string }>(
    `select name from sqlite_schema where type = 'table' and name not like 'sqlite_%' and name not like 'kysely_%'`,
  )
  const counted = tables.map(({ name }) => name).filter(name => !BOOKKEEPING.includes(name))
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
  const rows = world.read<object>(`select ${list} from "${table}"`).map(row => JSON.stringify(row))
  return rows.map(row => row.replaceAll(TIME, 'a time'))
}

const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g

/** Fails with the first row that differs, and with the handler that stored it. `when` says what happened between. */
export function expectSame(when: string, found: Effects, wanted: Effects): void {
  for (const table of new Set([...wanted.keys(), ...found.keys()])) {
    const [now, before] = [found.get(table) ?? [], wanted.get(table) ?? []]
    const added = without(now, before)
    const missing = without(before, now)
    if (added.length + missing.length === 0) continue
    const [one = missing[0] ?? ''] = added
    const file = table === 'participants' ? 'src/webhooks/dispatch/keep-participant.ts' : culprit(one)
    const changes = [
      ...missing.slice(0, 1).map(row => `was ${row}`),
      ...added.slice(0, 1).map(row => `is ${row}`),
    ]
    throw new Failed(`${when} left something else in "${table}": ${changes.join(', ')}. From ${file}`, file)
  }
}

/** The rows of the first list beyond those that the second has, repeats counted. */
function without(rows: readonly string[], others: readonly string[]): string[] {
  const left = [...others]
  return rows.filter(row => {
    const at = left.indexOf(row)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/** The handler that stored a row: ids of the drill name its type, or the row itself does. */
function culprit(row: string): string {
  const types = handledTypes('revento').toSorted((a, b) => b.length - a.length)
  if (row.includes(trialOf('documented'))) return handlerFile('revento', 'application.approved')
  const type =
    types.find(one => row.includes(`${trialOf(one)}`)) ?? types.find(one => row.includes(`"${one}"`))
  return type ? handlerFile('revento', type) : `one of ${HANDLERS_FOLDER}`
}

/** Tables of the app that keep the event's id on purpose, to know that it was erased. Your tables keep nothing. */
const KEEPS_ID: Partial<Record<keyof Schema, true>> = {
  erasures: true,
  connections: true,
  deliveries: true,
  outcomes: true,
  delivery_keys: true,
  flows: true,
  session_connections: true,
  api_budgets: true,
}
const OF_PEOPLE = /^(id|participant_id|user_id|name|email)$/
/** A shorter value may stand in another text by chance. */
const TELLING = 6

/** The personal values in the stored payloads of the event: none may be found after an erasure. */
export function peopleOf(world: World): string[] {
  const bodies = world.read<{ body: Uint8Array }>(
    `select body from inbox where event_id = '${EVENT}' and body is not null`,
  )
  const data = bodies.map(({ body }) =>
    membersOf(membersOf(JSON.parse(Buffer.from(body).toString()))['data']),
  )
  const values = data.flatMap(members => Object.entries(members).filter(([name]) => OF_PEOPLE.test(name)))
  return [...new Set(values.map(([, value]) => String(value)))].filter(value => value.length >= TELLING)
}

const tablesOf = (world: World) =>
  world
    .read<{ name: keyof Schema }>(
      `select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'`,
    )
    .map(({ name }) => name)

/** Searches every column of every table, also of the tables that you add. */
function remnants(world: World, people: readonly string[]): { table: string; what: string }[] {
  return tablesOf(world).flatMap(name => {
    const needles = KEEPS_ID[name] ? people : [...people, EVENT]
    const rows = world.read<object>(`select * from "${name}"`).map(textOf)
    const what = needles.find(needle => rows.some(row => row.includes(needle)))
    return what === undefined ? [] : [{ table: name, what }]
  })
}

const textOf = (row: object) =>
  Object.values(row)
    .map(value => (value instanceof Uint8Array ? Buffer.from(value).toString() : String(value)))
    .join('\n')

/** The tables of the app, which its own erasure covers; every other is the builder's. */
const SWEPT = [
  ...['participants', 'activities', 'deliveries', 'outcomes', 'attempts', 'effects'],
  'inline_answers',
]

export const fileOfTable = (table: string) =>
  SWEPT.includes(table) ? 'src/storage/sweep.ts' : 'src/integration/erase.ts'

/** The tables in which this id stands, and not only as a part of a longer one. */
export function tablesNaming(world: World, id: string): string[] {
  const whole = new RegExp(`(?<![\\w-])${id}(?![\\w-])`)
  return tablesOf(world).filter(name =>
    world.read<object>(`select * from "${name}"`).some(row => whole.test(textOf(row))),
  )
}

export function expectErased(world: World, people: readonly string[], when: string): void {
  const [left] = remnants(world, people)
  if (!left) return
  throw new Failed(
    `${when}, the table "${left.table}" still holds ${JSON.stringify(left.what)}`,
    fileOfTable(left.table),
  )
}
