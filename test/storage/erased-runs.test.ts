import { expect, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import { createEventData } from '../../src/storage/event-data.ts'
import { createOwed } from '../../src/webhooks/dispatch/owed.ts'
import { storeDelivery } from '../helpers/erase.ts'
import { until } from '../helpers/wait.ts'
import { bench } from '../webhooks/dispatch/dispatching.ts'

const EVENT = { eventId: 'evt_1', organizationId: 'org_1' }

test('a deletion and twenty deliveries of its event wait behind busy handlers: none of the twenty runs', async () => {
  const b = await bench()
  const { query } = b.database
  const log = { info() {}, warn() {}, error() {}, child: () => log }
  const connections = { suspendAll: async () => 0 }
  const eventData = createEventData(query, systemRuntime, 'real')
  const owed = createOwed(
    { query, connections, eventData, erasing: { begin: async () => {} }, log },
    systemRuntime,
  )
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
