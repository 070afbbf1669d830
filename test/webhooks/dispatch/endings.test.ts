import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemRuntime } from '../../../src/process/runtime.ts'
import { createEventData } from '../../../src/storage/event-data.ts'
import { erase, storeDelivery } from '../../helpers/erase.ts'
import { type HandlerApp, startHandlers } from '../../helpers/handlers.ts'

const GONE = 'evt_gone'
const KEPT = 'evt_kept'
let app: HandlerApp
beforeEach(async () => {
  app = await startHandlers({})
  for (const id of [GONE, KEPT]) {
    await app.connect(id)
    await app.deliver('application.approved', {
      event_id: id,
      data: { participant_id: 'ptp_1', name: `Ada of ${id}` },
    })
  }
})
afterEach(() => app.close())

const stored = async () =>
  JSON.stringify([
    await app.participants(),
    (await app.rows()).map(row => Buffer.from(row.body ?? []).toString()),
  ])
const states = async () =>
  (await app.connections()).map(row => [
    row['event_id'],
    row['state'],
    row['access_token'] !== null,
    row['refresh_token'] !== null,
  ])

describe('data.deletion_required', () => {
  test('a deletion erases payloads, participants and tokens of its event, and ends its connection', async () => {
    expect(await app.deliver('data.deletion_required', { event_id: GONE, data: {} })).toBe('done')
    expect((await app.participants()).map(row => row['event_id'])).toEqual([KEPT])
    expect((await app.rows()).filter(row => row.event_id === GONE).map(row => row.body)).toEqual([null, null])
    expect((await app.rows()).filter(row => row.event_id === KEPT).map(row => row.body === null)).toEqual([
      false,
    ])
    expect(await states()).toEqual([
      [GONE, 'deleted', false, false],
      [KEPT, 'connected', true, true],
    ])
    expect(await stored()).not.toContain(GONE.concat('"'))
  })

  test('what comes for an erased event afterwards is acknowledged and not kept', async () => {
    await app.deliver('data.deletion_required', { event_id: GONE, data: {} })
    for (const type of ['application.approved', 'participant.profile_updated', 'activity.updated'])
      expect(
        await app.deliver(type, { event_id: GONE, data: { participant_id: 'ptp_2', name: 'Grace' } }),
      ).toBe('ignored')
    expect(await stored()).not.toContain('Grace')
    expect(
      await app.deliver('application.approved', { event_id: KEPT, data: { participant_id: 'ptp_2' } }),
    ).toBe('done')
  })

  test('a handler that was under way at a deletion does not bring a participant back', async () => {
    const { query } = app.database
    const data = createEventData(query, systemRuntime, 'real')
    const event = { eventId: GONE, organizationId: 'org_test_formal' }
    const id = await storeDelivery(query, event)
    const change = {
      participantId: 'ptp_9',
      type: 'application.approved',
      occurredAt: '2027-01-01T00:00:00Z',
    }
    await Promise.all([
      ...Array.from({ length: 20 }, () => data.saveParticipant({ id, ...event }, change)),
      erase(query, systemRuntime, event),
      data.saveParticipant({ id, ...event }, change),
    ])
    expect((await app.participants()).map(row => row['event_id'])).toEqual([KEPT])
  })

  test('after a new connection an erased event’s webhooks are handled again', async () => {
    await app.deliver('data.deletion_required', { event_id: GONE, data: {} })
    await app.connect(GONE)
    expect(
      await app.deliver('application.approved', { event_id: GONE, data: { participant_id: 'ptp_1' } }),
    ).toBe('done')
    expect(await app.participants()).toHaveLength(2)
  })

  test('a deletion ends and erases one organization’s, and leaves another’s of the same event as it is', async () => {
    await app.connect(GONE, 'org_other')
    const other = { event_id: GONE, organization_id: 'org_other' }
    await app.deliver('application.approved', { ...other, data: { participant_id: 'ptp_1', name: 'Grace' } })
    await app.deliver('data.deletion_required', { event_id: GONE, data: {} })
    expect(await states()).toEqual([
      [GONE, 'deleted', false, false],
      [GONE, 'connected', true, true],
      [KEPT, 'connected', true, true],
    ])
    expect(await stored()).toContain('Grace')
    expect(await stored()).not.toContain(`Ada of ${GONE}`)
    expect(await app.deliver('application.rejected', { ...other, data: { participant_id: 'ptp_1' } })).toBe(
      'done',
    )
    expect(await app.participants()).toMatchObject([
      { organization_id: 'org_other', name: 'Grace', application_status: 'rejected' },
      { event_id: KEPT },
    ])
  })

  test('a deletion without an event id erases nothing', async () => {
    const before = await stored()
    expect(await app.deliver('data.deletion_required', { event_id: null, data: {} })).toBe('done')
    expect((await stored()).startsWith(before.slice(0, -2))).toBe(true)
    expect((await states()).map(row => row[1])).toEqual(['connected', 'connected'])
  })
})

describe('integration.suspended', () => {
  test('a suspension marks every live connection, and leaves an ended one as it is', async () => {
    await app.deliver('data.deletion_required', { event_id: GONE, data: {} })
    await app.connect('evt_third')
    expect(
      await app.deliver('integration.suspended', { event_id: null, organization_id: null, data: {} }),
    ).toBe('done')
    expect((await states()).map(row => row.slice(0, 2))).toEqual([
      [GONE, 'deleted'],
      [KEPT, 'suspended'],
      ['evt_third', 'suspended'],
    ])
    expect(app.log.find(line => line['msg'] === 'Revento has suspended this integration')).toMatchObject({
      connections: 2,
    })
  })

  test('a suspension erases nothing', async () => {
    await app.deliver('integration.suspended', { event_id: null, organization_id: null, data: {} })
    expect(await app.participants()).toHaveLength(2)
    expect((await states()).every(row => row[2] === true)).toBe(true)
  })
})
