import { type SqlBool, sql } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import type { Queries } from '../storage/database.ts'
import { memberOf } from '../storage/erasures.ts'
import type { Platform } from '../storage/schema.ts'
import { transaction } from '../storage/sql.ts'
import { writeLog } from '../storage/sqlite/log.ts'
import { emptyDeliveries } from '../storage/sweep.ts'
import { isOwn } from '../storage/tables.ts'

/** Somebody in an event's data, by the id of a participant, or of a user for sign-ins; of letters, digits, `-` and `_`. */
export interface Person {
  readonly platform: Platform
  readonly eventId: string
  readonly participantId: string
}

export interface OwnRows {
  readonly table: string
  readonly rows: readonly Record<string, unknown>[]
}

/** At most this many bodies are in memory at once: each has at most 16 MiB, and mostly a kilobyte. */
const BATCH = 50
const MOST_ROWS = 1_000

/** Collects what this app stores of somebody, and what the builder's tables do: the database's catalogue names these. */
export async function exportPerson(query: Queries, person: Person): Promise<object> {
  const { platform, eventId, participantId } = person
  const participants = await query
    .selectFrom('participants')
    .selectAll()
    .where('platform', '=', platform)
    .where('event_id', '=', eventId)
    .where('participant_id', '=', participantId)
    .execute()
  const deliveries: object[] = []
  const users = new Set([participantId])
  for await (const batch of deliveriesOf(query, person))
    for (const { id, type, received_at, body } of batch) {
      addUser(users, participantId, body)
      const effects = await query
        .selectFrom('effects')
        .select(['name', 'result'])
        .where('inbox_id', '=', id)
        .limit(MOST_ROWS)
        .execute()
      const received = new Date(received_at).toISOString()
      deliveries.push({ id, type, received_at: received, payload: textOf(body), effects })
    }
  const own = await ownRowsOf(query, person)
  const signIns = await query
    .selectFrom('sign_ins')
    .select(['id', 'user_id', 'state', 'scope', 'connected_at', 'updated_at'])
    .where(isSignInOf(person, users))
    .execute()
  return {
    ...{ event_id: eventId, participant_id: participantId, participants, deliveries, sign_ins: signIns },
    own: Object.fromEntries(own.map(({ table, rows }) => [table, rows])),
  }
}

/** Resolves with how many rows are gone. Revento still lists them, so that what it sends later is stored again. */
export async function erasePerson(
  query: Queries,
  person: Person,
  runtime: Pick<Runtime, 'now'>,
): Promise<{ participants: number; deliveries: number; signIns: number }> {
  const { platform, eventId, participantId } = person
  let deliveries = 0
  const users = new Set([participantId])
  for await (const batch of deliveriesOf(query, person)) {
    for (const { body } of batch) addUser(users, participantId, body)
    await transaction(query, trx =>
      emptyDeliveries(
        trx,
        batch.map(({ id }) => id),
        runtime.now(),
      ),
    )
    await writeLog(query)
    deliveries += batch.length
  }
  const signIns = await query.deleteFrom('sign_ins').where(isSignInOf(person, users)).executeTakeFirst()
  const { numDeletedRows } = await query
    .deleteFrom('participants')
    .where('platform', '=', platform)
    .where('event_id', '=', eventId)
    .where('participant_id', '=', participantId)
    .executeTakeFirst()
  return { participants: Number(numDeletedRows), deliveries, signIns: Number(signIns.numDeletedRows) }
}

/** A sign-in has the id of a user; a delivery about a participant may say which one that is. */
function addUser(users: Set<string>, participantId: string, body: Uint8Array | null): void {
  const { participant_id, user_id } = (memberOf(body, 'data') ?? {}) as Record<string, unknown>
  if (participant_id === participantId && typeof user_id === 'string') users.add(user_id)
}

const isSignInOf = ({ platform, eventId }: Person, users: ReadonlySet<string>) =>
  sql<SqlBool>`platform = ${platform} and event_id = ${eventId} and user_id in (${sql.join([...users])})`

/** Yields the deliveries whose payload names somebody, a batch at a time, in the order of the index. */
async function* deliveriesOf(query: Queries, { platform, eventId, participantId }: Person) {
  const organizations = await query
    .selectFrom('deliveries')
    .select('organization_id')
    .distinct()
    .where('event_id', '=', eventId)
    .execute()
  const named = (body: Uint8Array | null) => Buffer.from(body ?? []).includes(`"${participantId}"`)
  for (const { organization_id } of organizations) {
    for (let after = 0; ; ) {
      const rows = await query
        .selectFrom('deliveries')
        .select(['id', 'platform', 'type', 'received_at', 'body'])
        .where('event_id', '=', eventId)
        .where('organization_id', organization_id === null ? 'is' : '=', organization_id)
        .where('id', '>', after)
        .orderBy('id')
        .limit(BATCH)
        .execute()
      const found = rows.filter(row => row.platform === platform && named(row.body))
      if (found.length > 0) yield found
      const last = rows.at(-1)
      if (!last || rows.length < BATCH) break
      after = last.id
    }
  }
}

/** Finds rows of the builder's tables with a column that is somebody's id, or JSON that holds it. */
export async function ownRowsOf(query: Queries, { eventId, participantId }: Person): Promise<OwnRows[]> {
  const tables = (await query.introspection.getTables()).filter(({ name, isView }) => isOwn(name) && !isView)
  const found: OwnRows[] = []
  for (const { name, columns } of tables) {
    const names = columns.map(column => column.name)
    const holds = names.map(column => {
      const text = sql`cast(${sql.ref(column)} as text)`
      return sql`${text} = ${participantId} or replace(${text}, ${`"${participantId}"`}, '') <> ${text}`
    })
    const ofEvent = names.includes('event_id') ? sql`event_id = ${eventId} and` : sql``
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}
      where ${ofEvent} (${sql.join(holds, sql` or `)}) limit ${MOST_ROWS}`.execute(query)
    if (rows.length > 0) found.push({ table: name, rows })
  }
  return found
}

const textOf = (body: Uint8Array | null): unknown => {
  const text = Buffer.from(body ?? []).toString()
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
