import { onTestFinished } from 'vitest'
import type { ConnectionKey } from '../../../src/oauth/connections.ts'
import { createDescribeError } from '../../../src/process/errors.ts'
import type { ConnectionState } from '../../../src/storage/schema.ts'
import {
  createDispatcher,
  type Dispatcher,
  type DispatcherOptions,
} from '../../../src/webhooks/dispatch/dispatcher.ts'
import { createInbox } from '../../../src/webhooks/inbox/inbox.ts'
import { type ManualClock, manualClock } from '../../helpers/clock.ts'
import { type TestDatabase, testDatabase } from '../../helpers/database.ts'
import { until } from '../../helpers/wait.ts'

export interface Bench {
  readonly clock: ManualClock
  readonly database: TestDatabase
  readonly log: { level: string; fields: Record<string, unknown>; message: string }[]
  /** A started dispatcher on this database; `run` gets each claimed delivery. */
  dispatcher(o: Partial<DispatcherOptions> & Pick<DispatcherOptions, 'run'>, clock?: ManualClock): Dispatcher
  /** Moves the time when a dispatcher has looked, and sleeps until the next look. */
  pass(ms: number): Promise<void>
  /** A connection that parked deliveries can go on with. */
  connect(eventId?: string): Promise<void>
  append(change?: { id?: string; type?: string; eventId?: string | null }): Promise<number>
  row(id: number): ReturnType<typeof readRow>
  reaches(id: number, state: string): ReturnType<typeof readRow>
}

export const KEY: ConnectionKey = { eventId: 'evt_1', organizationId: 'org_1' }

/** A backlog that is never full. */
export const NO_BACKLOG = { added() {}, isFull: () => false }

const readRow = (database: TestDatabase, id: number) =>
  database.query.selectFrom('inbox').selectAll().where('id', '=', id).executeTakeFirstOrThrow()

/** The inbox and its dispatchers alone, on a real database, in a time that the test moves. */
export async function bench(): Promise<Bench> {
  const clock = manualClock()
  const database = await testDatabase()
  const log: Bench['log'] = []
  const write = (level: string) => (fields: object, message: string) =>
    void log.push({ level, fields: { ...fields }, message })
  const dispatchers: Dispatcher[] = []
  const inbox = createInbox(
    database,
    NO_BACKLOG,
    () => {
      for (const dispatcher of dispatchers) dispatcher.arrived()
    },
    clock,
  )
  let appended = 0
  /**
   * PostgreSQL may show a test an outcome before its dispatcher has heard that it is stored. What comes due in between is
   * passed over until the next look, which never comes where time stands still: so each look of a test at a row causes one.
   */
  const look = (id: number) => {
    for (const dispatcher of dispatchers) dispatcher.arrived()
    return readRow(database, id)
  }
  return {
    clock,
    database,
    log,
    dispatcher(o, own = clock) {
      const dispatcher = createDispatcher(
        database.query,
        {
          concurrency: 10,
          platform: 'real',
          hasHandler: () => true,
          isParking: () => false,
          describeError: createDescribeError(false),
          parkedAt: () => ({ connect_url: undefined }),
          log: { info: write('info'), warn: write('warn'), error: write('error') },
          ...o,
        },
        own,
      )
      dispatchers.push(dispatcher)
      dispatcher.start()
      onTestFinished(() => stopNow(dispatcher, own))
      return dispatcher
    },
    connect: (eventId = 'evt_1') => saveConnection(database, { eventId, organizationId: 'org_1' }),
    append: ({ id = `evt_${++appended}`, type = 'a.type', eventId = 'evt_1' } = {}) =>
      inbox.append({
        provider: 'revento',
        platform: 'real',
        deliveryId: null,
        envelope: { id, type, eventId, organizationId: 'org_1' },
        receivedAt: clock.now(),
        body: Buffer.from('{}'),
      }),
    async pass(ms) {
      await until(() => clock.sleepers().includes(1000))
      clock.advance(ms)
    },
    row: look,
    reaches: (id, state) =>
      until(async () => {
        const row = await readRow(database, id)
        return row.state === state && row
      }),
  }
}

/** Stores a connection that is connected, or in the given state. */
export async function saveConnection(
  { query }: Pick<TestDatabase, 'query'>,
  key: ConnectionKey,
  state: ConnectionState = 'connected',
): Promise<void> {
  const times = {
    access_expires_at: 0,
    refresh_expires_at: 0,
    consent_expires_at: 0,
    connected_at: 0,
    updated_at: 0,
  }
  const id = { event_id: key.eventId, organization_id: key.organizationId }
  await query
    .insertInto('connections')
    .values({
      ...id,
      ...times,
      state,
      scope: '',
      reason: null,
      access_token: null,
      refresh_token: null,
      version: 1,
    })
    .onConflict(c => c.columns(['event_id', 'organization_id', 'platform']).doUpdateSet({ state }))
    .execute()
}

/** Stops without waiting for the grace that a hanging handler would get. */
export async function stopNow(dispatcher: Dispatcher, clock: ManualClock): Promise<void> {
  let stopped = false
  const stop = dispatcher.stop(0).then(() => {
    stopped = true
  })
  await until(() => {
    clock.advance(0)
    return stopped
  })
  await stop
}

export const hanging = () => new Promise<never>(() => {})
