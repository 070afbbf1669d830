import { expect, test } from 'vitest'
import { startHandlers } from '../helpers/handlers.ts'

test('with every handler deleted the list of participants is right, and erased when that is asked for', async () => {
  const app = await startHandlers({ handlers: { revento: {} } })
  const person = { data: { participant_id: 'ptp_1', name: 'Ada' } }
  expect(await app.deliver('application.approved', person)).toBe('ignored')
  expect(await app.participants()).toMatchObject([{ name: 'Ada', application_status: 'approved' }])
  await app.connect('evt_test_published')
  expect(await app.deliver('data.deletion_required')).toBe('done')
  expect(await app.participants()).toEqual([])
  expect(await app.connections()).toMatchObject([{ state: 'deleted' }])
  expect(await app.deliver('activity.updated', { event_id: 'evt_other' })).toBe('ignored')
  await app.close()
})
