import { sql } from 'kysely'
import { inject, onTestFinished } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { type TestDatabase, testDatabase } from '../helpers/database.ts'
import { takeBack } from '../helpers/older-schema.ts'

const onSqlite = inject('store') === 'sqlite'
export const STATES = ['pending', 'running', 'done', 'parked', 'dead', 'duplicate', 'ignored'] as const

/** Makes a database as the version before this one leaves it, with this many deliveries. */
export async function before(rows: number = STATES.length): Promise<TestDatabase> {
  const database = await testDatabase()
  await takeBack(database.query, '058')
  const numbers = onSqlite
    ? sql`(with recursive r(n) as (select 1 union all select n + 1 from r where n < ${rows}) select n from r) as r`
    : sql`generate_series(1, cast(${rows} as int)) as r(n)`
  const body = onSqlite
    ? sql`cast('{"n":' || n || '}' as blob)`
    : sql`convert_to('{"n":' || n || '}', 'UTF8')`
  await sql`insert into inbox (provider, platform, delivery_id, envelope_id, type, event_id, organization_id, state,
      attempts, crashes, next_at, lease_owner, received_at, finished_at, last_error, duplicate_of, body)
    select 'revento', 'sandbox', 'd' || n, 'e' || n, 't', 'evt_1', 'org_1', ${sql.raw(
      `case n % 7 ${STATES.map((state, n) => `when ${n} then '${state}'`).join(' ')} end`,
    )}, n, 1, 5, 'me', 6, 7, 'Error: no', 8, ${body} from ${numbers}`.execute(database.query)
  return database
}

export const reopen = async ({ store }: TestDatabase) => {
  const { query, close } = await openDatabase(store, systemRuntime)
  onTestFinished(() => close())
  return query
}
