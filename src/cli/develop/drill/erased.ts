import { DELETION_REQUIRED } from '../../../revento/platform.ts'
import type { Schema } from '../../../storage/schema.ts'
import { membersOf } from '../../../webhooks/verify/provider.ts'
import { Failed } from './failed.ts'
import { handlerFile } from './handler-files.ts'
import { EVENT, type World } from './world.ts'

/** Tables of the app that keep the event's id on purpose: that it was erased, and that deliveries came. Yours keep nothing. */
const KEEPS_ID: Partial<Record<keyof Schema, true>> = {
  erasures: true,
  connections: true,
  inbox: true,
  delivery_keys: true,
  flows: true,
  session_connections: true,
  api_budgets: true,
}
const OF_PEOPLE = /^(id|participant_id|user_id|name|email)$/
/** Shorter ones stand in other texts by chance. */
const TELLING = 6

/** What the stored payloads of the event say of its people: nothing of it may be found after an erasure. */
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

/** Looks into every column of every table, also of those that you add. */
export function remnants(world: World, people: readonly string[]): { table: string; what: string }[] {
  const tables = world.read<{ name: keyof Schema }>(
    `select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'`,
  )
  return tables.flatMap(({ name }) => {
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

/** The tables of the app, which its own erasure covers; every other is the handlers'. */
const SWEPT = ['participants', 'inbox', 'attempts', 'inline_answers']

export function expectErased(world: World, people: readonly string[], when: string): void {
  const [left] = remnants(world, people)
  if (!left) return
  const look = SWEPT.includes(left.table) ? 'src/storage/sweep.ts' : handlerFile('revento', DELETION_REQUIRED)
  throw new Failed(`${when}, the table "${left.table}" still holds ${JSON.stringify(left.what)}`, look)
}
