import { expect, expectTypeOf, test } from 'vitest'
import type { SyncContext } from '../../src/builder/context.ts'
import { createParticipants } from '../../src/builder/participants.ts'
import { KEY, people, person, startMirror } from '../sync/stage.ts'

async function filled(count: number) {
  const s = await startMirror()
  await s.connect()
  s.list = people(count)
  return Object.assign(s, { participants: createParticipants(s.query, 'real', KEY) })
}
const idsOf = async (found: AsyncIterable<{ id: string }>) =>
  (await Array.fromAsync(found)).map(({ id }) => id)

test('every participant is listed by name, however many pages that takes; a search takes its signs for themselves', async () => {
  const s = await filled(450)
  s.list = [...s.list, person(451, { name: '100% Ada_', application_status: 'pending' }), { id: 'ptp_452' }]
  expect(await s.participants.freshAsOf()).toBeUndefined()
  await s.compare()
  const all = await Array.fromAsync(s.participants.list())
  expect(all).toHaveLength(452)
  const names = all.map(({ name, id }) => name ?? id)
  expect(names).toEqual(names.toSorted())
  expect(await idsOf(s.participants.list({ search: '0% ADA_' }))).toEqual(['ptp_451'])
  expect(await idsOf(s.participants.list({ search: '%' }))).toEqual(['ptp_451'])
  expect(await idsOf(s.participants.list({ status: 'pending' }))).toEqual(['ptp_451'])
  expect(await s.participants.find('ptp_452')).toMatchObject({ name: undefined, row: { id: 'ptp_452' } })
  expect(await s.participants.find('ptp_453')).toBeUndefined()
  expect(Math.abs(((await s.participants.freshAsOf()) ?? 0) - s.runtime.now())).toBeLessThan(60_000)
})

test('changed participants since a moment are told in their order, with those who have gone', async () => {
  const s = await filled(450)
  await s.compare()
  expect(await idsOf(s.participants.changedSince(0))).toHaveLength(450)
  await s.runtime.sleep(60_000)
  const since = s.runtime.now()
  await s.webhook({ participantId: 'ptp_9', applicationStatus: 'rejected', type: 'application.rejected' })
  await s.runtime.sleep(60_000)
  s.list = people(449).map(row => (row['id'] === 'ptp_9' ? { ...row, application_status: 'rejected' } : row))
  await s.compare()
  expect(await idsOf(s.participants.changedSince(since))).toEqual(['ptp_9', 'ptp_450'])
  expect(await idsOf(s.participants.list({ gone: true }))).toEqual(['ptp_450'])
  expect((await s.participants.find('ptp_450'))?.goneAt).toBeGreaterThan(since)
  expect((await s.participants.find('ptp_9'))?.row['application_status']).toBe('rejected')
})

test('no participant is read once the signal has fired', async () => {
  const s = await filled(1)
  const participants = createParticipants(s.query, 'real', KEY, AbortSignal.abort(new Error('over')))
  for (const read of [
    () => participants.find('ptp_1'),
    () => idsOf(participants.list()),
    () => idsOf(participants.changedSince(0)),
    () => participants.freshAsOf(),
  ])
    await expect(read()).rejects.toThrow('over')
})

test('a handler of sync knows what its type brings', () => {
  type Data<T extends 'participant.added' | 'participant.changed'> = SyncContext<T>['event']['data']
  expectTypeOf<Data<'participant.changed'>['changed']>().toEqualTypeOf<readonly string[]>()
  expectTypeOf<Data<'participant.added'>>().not.toHaveProperty('changed')
  expectTypeOf<SyncContext['event']['event_id']>().toEqualTypeOf<string>()
})
