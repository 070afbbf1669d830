import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { EVENT_TYPES } from '../../../src/revento/platform.ts'
import { type HandlerApp, startHandlers } from '../../helpers/handlers.ts'

let app: HandlerApp
beforeEach(async () => {
  app = await startHandlers({})
})
afterEach(() => app.close())

const at = (minute: number) => `2026-05-09T14:${String(minute).padStart(2, '0')}:00Z`
const person = (data: Record<string, unknown> = {}) => ({ data: { participant_id: 'ptp_1', ...data } })

test.each(EVENT_TYPES)('%s is handled, also with nothing in its data', async type => {
  expect(await app.deliver(type, { data: {} })).toBe('done')
  expect(
    await app.deliver(type, { data: { participant_id: 7, id: null, name: [], application_status: {} } }),
  ).toBe('done')
  expect(await app.deliver(type, { event_id: null, organization_id: null, ...person() })).toBe('done')
  expect(await app.participants()).toEqual([])
})

describe('the table of participants', () => {
  test.each([
    ['application.submitted', 'pending'],
    ['application.approved', 'approved'],
    ['application.rejected', 'rejected'],
    ['application.revision_requested', 'revision_requested'],
  ])('%s notes the status %s', async (type, status) => {
    await app.deliver(type, person({ name: 'Ada' }))
    expect(await app.participants()).toMatchObject([
      {
        event_id: 'evt_test_published',
        participant_id: 'ptp_1',
        name: 'Ada',
        application_status: status,
        last_type: type,
      },
    ])
  })

  test.each(['participant.registered', 'participant.profile_updated'])(
    '%s takes the participant’s own id where there is no other, and keeps what it does not say',
    async type => {
      await app.deliver('application.approved', { occurred_at: at(1), ...person({ name: 'Ada' }) })
      await app.deliver(type, { occurred_at: at(2), data: { id: 'ptp_1' } })
      expect(await app.participants()).toMatchObject([
        { participant_id: 'ptp_1', name: 'Ada', application_status: 'approved', last_type: type },
      ])
    },
  )

  test('the id of an application is no participant', async () => {
    await app.deliver('application.approved', { data: { id: 'app_1' } })
    expect(await app.participants()).toEqual([])
  })

  test('an older event that comes later changes nothing; a newer one does', async () => {
    await app.deliver('application.approved', { occurred_at: at(5), ...person({ name: 'Ada' }) })
    await app.deliver('application.submitted', { occurred_at: at(1), ...person({ name: 'Old' }) })
    expect(await app.participants()).toMatchObject([{ name: 'Ada', application_status: 'approved' }])
    await app.deliver('application.rejected', { occurred_at: at(6), ...person() })
    expect(await app.participants()).toMatchObject([{ name: 'Ada', application_status: 'rejected' }])
  })

  test('the age is that of the moment, however it is written', async () => {
    await app.deliver('application.approved', { occurred_at: '2026-05-09T14:00:00.500Z', ...person() })
    await app.deliver('application.submitted', { occurred_at: '2026-05-09T14:00:00Z', ...person() })
    await app.deliver('application.rejected', { occurred_at: '2026-05-09T15:59:00+02:00', ...person() })
    expect(await app.participants()).toMatchObject([{ application_status: 'approved' }])
    await app.deliver('application.rejected', { occurred_at: '2026-05-09T13:00:01-01:00', ...person() })
    expect(await app.participants()).toMatchObject([{ application_status: 'rejected' }])
  })

  test('the same participant of another event is another row', async () => {
    await app.deliver('application.approved', { event_id: 'evt_a', ...person() })
    await app.deliver('application.rejected', { event_id: 'evt_b', ...person() })
    expect((await app.participants()).map(row => [row['event_id'], row['application_status']])).toEqual([
      ['evt_a', 'approved'],
      ['evt_b', 'rejected'],
    ])
  })
})
