import { expect, test } from 'vitest'
import { createSealer } from '../../src/keys/sealing.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { Queries } from '../../src/storage/database.ts'
import { erasedAmong, MARGIN_MS, markErased } from '../../src/storage/erasures.ts'
import { createEventData } from '../../src/storage/event-data.ts'
import type { Platform } from '../../src/storage/schema.ts'
import { sweep } from '../../src/storage/sweep.ts'
import { createDeliveries } from '../../src/webhooks/inbox/deliveries.ts'
import { manualClock } from '../helpers/clock.ts'
import { testDatabase } from '../helpers/database.ts'
import { erase, storeDelivery, storeEnding } from '../helpers/erase.ts'
import { tokenSet } from '../helpers/sealed.ts'

/** The connection of `tokenSet(1)`. */
const EVENT = { eventId: 'evt_1', organizationId: 'org_1' }
const HOUR = 3_600_000
const NEVER = new AbortController().signal

async function stage() {
  const { query } = await testDatabase()
  const clock = manualClock()
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, systemRuntime)
  const connections = (platform: Platform) =>
    createConnections(query, sealer, clock, { log: { error() {}, warn() {} }, platform })
  const data = (platform: Platform) => createEventData(query, clock, platform)
  return {
    query,
    clock,
    connect: (platform: Platform = 'real', organizationId = 'org_1') =>
      connections(platform).save({ ...tokenSet(1), organizationId }),
    connections,
    /** Stores a delivery that was handled, and its participant. */
    async handled(name: string, o: { platform?: Platform; organizationId?: string; at?: number } = {}) {
      const { platform = 'real', organizationId = 'org_1', at = clock.now() } = o
      const event = { ...EVENT, organizationId }
      const body = Buffer.from(JSON.stringify({ name }))
      const id = await storeDelivery(query, { ...event, platform }, { state: 'done', body, received_at: at })
      const change = { participantId: `ptp_${name}`, type: 't', occurredAt: new Date(at).toISOString() }
      await data(platform).saveParticipant({ id, ...event }, { ...change, name })
      return id
    },
    erase: (o: Partial<Parameters<typeof erase>[2]> = {}) => erase(query, clock, { ...EVENT, ...o }),
    /** Returns whose names are stored, and the connections with their tokens. */
    async left() {
      const inbox = query.selectFrom('inbox').select('body').where('type', '<>', 'data.deletion_required')
      const people = query.selectFrom('participants').select('name')
      const bodies = (await inbox.execute()).flatMap(({ body }) => (body ? [nameIn(body)] : []))
      const names = (await people.execute()).flatMap(({ name }) => name ?? [])
      const held = await query.selectFrom('connections').selectAll().orderBy('platform').execute()
      return {
        bodies: bodies.toSorted(),
        names: names.toSorted(),
        connections: held.map(
          row => `${row.platform} ${row.organization_id} ${row.state} ${row.access_token !== null}`,
        ),
      }
    },
  }
}

const nameIn = (body: Uint8Array) => JSON.parse(Buffer.from(body).toString()).name as string
const all = (...names: string[]) => ({ bodies: names, names })

test('what the sandbox signs or grants touches nothing of the real platform, nor the other way round', async () => {
  const s = await stage()
  await s.connect('real')
  await s.handled('Ada')
  await s.connect('sandbox')
  await s.handled('Played', { platform: 'sandbox' })
  const connections = ['real org_1 connected true', 'sandbox org_1 connected true']
  expect(await s.left()).toEqual({ ...all('Ada', 'Played'), connections })
  await s.connections('sandbox').suspendAll(s.clock.now() + HOUR)
  await s.connections('sandbox').disconnect(EVENT)
  await s.erase({ platform: 'sandbox' })
  expect(await s.left()).toEqual({
    ...all('Ada'),
    connections: ['real org_1 connected true', 'sandbox org_1 deleted false'],
  })
  await s.connect('sandbox')
  await s.handled('Played', { platform: 'sandbox' })
  await s.erase({ platform: 'real' })
  expect(await s.left()).toEqual({
    ...all('Played'),
    connections: ['real org_1 deleted false', 'sandbox org_1 connected true'],
  })
})

test('an ending of one organization leaves another’s of the same event as it is', async () => {
  const s = await stage()
  for (const organizationId of ['org_1', 'org_2']) await s.connect('real', organizationId)
  await s.handled('Ada')
  await s.handled('Grace', { organizationId: 'org_2' })
  await s.erase()
  expect(await s.left()).toMatchObject(all('Grace'))
  expect((await s.left()).connections.toSorted()).toEqual([
    'real org_1 deleted false',
    'real org_2 connected true',
  ])
})

test.for([
  ['an hour before the consent', 'lives', -HOUR],
  ['just longer before it than the clocks may differ', 'lives', -MARGIN_MS - 1],
  ['within that margin', 'ends', -MARGIN_MS],
  ['in the same moment', 'ends', 0],
  ['after it', 'ends', 1],
  ['in a far future', 'ends', 20 * 365 * 24 * HOUR],
] as const)('an ending that happened %s: the connection %s', async ([, fate, offset]) => {
  const s = await stage()
  await s.handled('before')
  const { connectedAt } = await s.connect()
  await s.handled('after')
  s.clock.advance(1_000)
  await s.erase({ occurredAt: new Date(connectedAt + offset).toISOString() })
  expect(await s.left()).toEqual(
    fate === 'lives'
      ? { ...all('after'), connections: ['real org_1 connected true'] }
      : { ...all(), connections: ['real org_1 deleted false'] },
  )
})

test.for([[null], [''], ['yesterday'], ['2026-13-40T00:00:00Z'], ['1747000000']])(
  'without a readable time (%j) an ending ends no connection; what came before the consent goes',
  async ([occurredAt = '']) => {
    const s = await stage()
    await s.handled('before')
    await s.connect()
    await s.handled('after')
    expect(await s.erase({ occurredAt })).toMatchObject({ dated: false, endsConnection: false })
    expect(await s.left()).toEqual({ ...all('after'), connections: ['real org_1 connected true'] })
  },
)

test('without an organization it ends no connection, and erases what names none either', async () => {
  const s = await stage()
  await s.connect()
  await s.handled('Ada')
  await storeDelivery(
    s.query,
    { ...EVENT, organizationId: null },
    { body: Buffer.from('{"name":"nobody’s"}') },
  )
  await s.erase({ organizationId: null })
  expect(await s.left()).toEqual({ ...all('Ada'), connections: ['real org_1 connected true'] })
})

test('a consent dated by a clock that was ahead is ended by an ending that comes after it', async () => {
  const s = await stage()
  s.clock.advance(31 * 24 * HOUR)
  await s.connect()
  s.clock.advance(-31 * 24 * HOUR)
  await s.handled('Ada')
  await s.erase()
  expect(await s.left()).toEqual({ ...all(), connections: ['real org_1 deleted false'] })
})

test('after a new consent the clock may have been set back: what comes then is stored', async () => {
  const s = await stage()
  await s.connect()
  await s.erase()
  s.clock.advance(HOUR)
  await s.connect()
  s.clock.advance(-HOUR)
  await s.handled('Ada')
  expect(await s.left()).toMatchObject(all('Ada'))
})

test('a fact of a newer delivery stays where an older one of the same participant goes', async () => {
  const s = await stage()
  const data = createEventData(s.query, s.clock, 'real')
  const say = async (more: object, type: string, occurredAt: string) => {
    const id = await storeDelivery(s.query, EVENT, { state: 'done' })
    await data.saveParticipant({ id, ...EVENT }, { participantId: 'ptp_1', type, occurredAt, ...more })
  }
  await say({ name: 'Ada' }, 'old', '2026-05-09T10:00:00Z')
  await s.connect()
  await say({ applicationStatus: 'approved' }, 'new', '2026-05-09T11:00:00Z')
  await s.erase({ occurredAt: '2026-05-09T10:30:00Z' })
  expect(await data.participants(EVENT)).toMatchObject([
    { name: null, name_at: null, application_status: 'approved', last_type: 'new' },
  ])
})

test('what waited or had failed becomes ignored, and a replay of it says that it was erased', async () => {
  const s = await stage()
  const states = ['pending', 'parked', 'dead', 'done', 'ignored', 'running'] as const
  const ids: number[] = []
  for (const state of states) ids.push(await storeDelivery(s.query, EVENT, { state, last_error: 'of Ada' }))
  const ending = await storeEnding(s.query, s.clock.now(), EVENT)
  await s.query.transaction().execute(trx => markErased(trx, ending, s.clock.now()))
  // From the mark on, before anything is removed.
  for (const id of ids.slice(2, 3))
    expect(await createDeliveries(s.query).replay(String(id), 'operator', Date.now())).toBe('erased')
  await s.erase()
  const rows = await s.query.selectFrom('inbox').selectAll().where('id', 'in', ids).orderBy('id').execute()
  expect(rows.map(row => row.state)).toEqual(['ignored', 'ignored', 'ignored', 'done', 'ignored', 'running'])
  expect(rows.flatMap(({ body, headers, last_error }) => body ?? headers ?? last_error ?? [])).toEqual([])
  for (const id of ids.slice(0, 3)) {
    expect(await createDeliveries(s.query).replay(String(id), 'operator', Date.now())).toBe('erased')
    expect(await createDeliveries(s.query).find(String(id), 'operator')).toMatchObject({
      replayable: false,
      stored: false,
    })
  }
})

const ofEvent = (id: number) => ({ ...EVENT, id, type: 'activity.updated', platform: 'real' as const })

/** Returns the ids whose bodies are left, and how many batches a sweep took until it was stopped after `batches`. */
async function sweepSome(query: Queries, batches: number): Promise<{ done: boolean; taken: number }> {
  const stop = new AbortController()
  let taken = 0
  const sleep = async () => {
    if (++taken >= batches) stop.abort()
  }
  const owner = { platform: 'real', event_id: EVENT.eventId, organization_id: EVENT.organizationId } as const
  return { done: await sweep(query, owner, { now: () => 1, sleep }, stop.signal), taken }
}

test('a large event is erased in batches that stop and go on; a consent meanwhile keeps what comes after it', async () => {
  const s = await stage()
  await s.connect()
  for (let n = 0; n < 450; n++)
    await storeDelivery(s.query, EVENT, { state: 'done', body: Buffer.alloc(100) })
  for (let n = 0; n < 5; n++)
    await storeDelivery(s.query, EVENT, { state: 'done', body: Buffer.alloc(600_000) })
  const full = async () =>
    (await s.query.selectFrom('inbox').select('id').where('body', 'is not', null).execute()).length - 1
  const ending = await storeEnding(s.query, s.clock.now(), EVENT)
  const mark = () => s.query.transaction().execute(trx => markErased(trx, ending, s.clock.now()))
  await mark()
  expect(await sweepSome(s.query, 1)).toEqual({ done: false, taken: 1 })
  expect(await full()).toBe(255)
  expect((await erasedAmong(s.query, [1, 455].map(ofEvent))).size).toBe(2)
  s.clock.advance(60_000)
  await s.connect()
  const later = await storeDelivery(s.query, EVENT, { state: 'done', body: Buffer.from('{"name":"Ada"}') })
  // The delivery runs again, after a crash say.
  expect(await mark()).toMatchObject({ endsConnection: false })
  // 200 rows, then 50 and one of 600 kB, then one of these at a time.
  expect(await sweepSome(s.query, 99)).toEqual({ done: true, taken: 6 })
  expect(await s.left()).toEqual({ bodies: ['Ada'], names: [], connections: ['real org_1 connected true'] })
  expect((await erasedAmong(s.query, [1, later].map(ofEvent))).has(later)).toBe(false)
  expect(
    await sweep(
      s.query,
      { platform: 'real', event_id: 'evt_none', organization_id: '' },
      systemRuntime,
      NEVER,
    ),
  ).toBe(true)
})
