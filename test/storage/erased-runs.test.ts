import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../src/runtime.ts'
import { openDatabase } from '../../src/storage/database.ts'
import { createOwed } from '../../src/webhooks/owed.ts'
import { erase, storeDelivery } from '../helpers/erase.ts'
import { until } from '../helpers/wait.ts'
import { bench, hanging } from '../webhooks/dispatching.ts'

const EVENT = { eventId: 'evt_1', organizationId: 'org_1' }

test('of deliveries that were claimed before their event was erased elsewhere, none begins and those that run are told', async () => {
  const b = await bench()
  const elsewhere = await openDatabase(b.database.store, systemRuntime)
  onTestFinished(() => elsewhere.close())
  const begun: number[] = []
  const told: unknown[] = []
  b.dispatcher(
    {
      concurrency: 2,
      run: ({ id }, signal) => {
        begun.push(id)
        signal.addEventListener('abort', () => told.push(signal.reason))
        return hanging()
      },
    },
    {
      ...systemRuntime,
      ...b.clock,
      monotonic: systemRuntime.monotonic,
      sleep: ms => delay(Math.min(ms, 50)),
    },
  )
  const ids = await Promise.all(Array.from({ length: 6 }, () => b.append()))
  await until(() => begun.length === 2)
  await erase(elsewhere.query, b.clock, EVENT)
  await until(() => told.length === 2)
  for (const id of ids) await b.reaches(id, 'ignored')
  expect(begun).toHaveLength(2)
  expect(told.map(String)).toEqual(['HandlerErased', 'HandlerErased'])
  const rows = await b.database.query
    .selectFrom('inbox')
    .select(['id', 'body'])
    .where('id', 'in', ids)
    .execute()
  expect(rows.map(row => row.body)).toEqual(ids.map(() => null))
})

test('a deletion and twenty deliveries of its event wait behind busy handlers: none of the twenty runs', async () => {
  const b = await bench()
  const { query } = b.database
  const log = { info() {}, warn() {}, error() {}, child: () => log }
  const owed = createOwed({ query, connections: { suspendAll: async () => 0 }, log }, systemRuntime)
  const free = Promise.withResolvers<void>()
  const ran: string[] = []
  b.dispatcher({
    run: async (delivery, signal) => {
      ran.push(delivery.type)
      if (delivery.type === 'busy') return free.promise
      await owed[delivery.type]?.(delivery, signal)
    },
  })
  await Promise.all(Array.from({ length: 10 }, () => b.append({ type: 'busy', eventId: 'evt_other' })))
  await until(() => ran.length === 10)
  const before = await b.append({ type: 'application.approved' })
  const deletion = await b.append({ type: 'data.deletion_required' })
  const after = await Promise.all(
    Array.from({ length: 20 }, () => b.append({ type: 'application.approved' })),
  )
  free.resolve()
  await b.reaches(deletion, 'done')
  for (const id of [before, ...after]) await b.reaches(id, 'ignored')
  expect(ran.filter(type => type === 'application.approved')).toEqual([])
})

test('what another platform’s secret signed waits, and uses up neither an id nor a name of ours', async () => {
  const b = await bench()
  const { query } = b.database
  const ran: number[] = []
  const id = {
    envelope_id: 'evt_same',
    delivery_id: 'same',
    state: 'pending',
    attempts: 0,
    next_at: 0,
  } as const
  const played = await storeDelivery(query, { ...EVENT, platform: 'sandbox' }, id)
  const real = await storeDelivery(query, EVENT, id)
  b.dispatcher({ run: async delivery => void ran.push(delivery.id) })
  await b.reaches(real, 'done')
  await b.pass(60_000)
  expect((await b.row(played)).state).toBe('pending')
  b.dispatcher({ platform: 'sandbox', run: async delivery => void ran.push(delivery.id) })
  await b.reaches(played, 'done')
  expect(ran).toEqual([real, played])
})
