import { describe, expect, test } from 'vitest'
import { testEvents } from '../../src/sandbox/api/events.ts'
import { participants } from '../../src/sandbox/api/participants.ts'
import { emptyState } from '../../src/sandbox/state.ts'
import { api, call, connect, EVENT, post, receiver, type Started, start, until } from './harness.ts'

type Row = Record<string, unknown>
const everybody = async ({ url }: Started, event = EVENT) =>
  (await call(`${url}/console/api/people?event_id=${event}`)).json['data'] as Row[]
const page = async (sandbox: Started, access: string, query: string) =>
  (await api(sandbox, access, `/events/${EVENT}/participants?${query}`)).json
const idsOf = (rows: unknown) => (rows as Row[]).map(({ id }) => id)
const change = async (sandbox: Started, path: string, fields: object = {}) =>
  (await post(sandbox, `/console/api/people${path}`, { event_id: EVENT, ...fields })).json[
    'participant_ids'
  ] as string[]

describe('the seed', () => {
  test('events of 36, 36, 1,200 and 10,000 people, sorted by id, nobody twice, the same each time', () => {
    const lists = testEvents().map(event => participants(emptyState(), event))
    expect(lists.map(({ length }) => length)).toEqual([36, 36, 1200, 10_000])
    const rows = lists.map(list => list.slice(0, list.length))
    for (const field of ['id', 'email'] as const)
      for (const list of rows) expect(new Set(list.map(row => row[field])).size).toBe(list.length)
    const ids = rows.map(idsOf)
    expect(ids.map(list => list.toSorted())).toEqual(ids)
    expect(new Set(ids.flat()).size).toBe(11_272)
    expect(participants(emptyState(), testEvents()[3] ?? never()).slice(9990, 10_000)).toEqual(
      rows[3]?.slice(9990),
    )
  })

  test('a large event is listed in full pages', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox, { event_id: 'evt_test_large' })
    const seen: unknown[] = []
    for (let cursor = ''; ; ) {
      const path = `/events/evt_test_large/participants?limit=50${cursor && `&cursor=${cursor}`}`
      const { json } = await api(sandbox, access, path)
      seen.push(...idsOf(json['data']))
      if (!json['has_more']) break
      cursor = String(json['next_cursor'])
    }
    expect(seen).toEqual(idsOf(await everybody(sandbox, 'evt_test_large')))
    expect(seen).toHaveLength(1200)
  })
})

const never = (): never => {
  throw new Error('there is no such event')
}

describe('what happens to people', () => {
  test('without `tell` the API changes and no webhook goes out', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    const [added] = await change(sandbox, '', { name: 'Ada Lovelace' })
    const [edited] = await change(sandbox, '/edit', { participant_id: 'ptp_002', name: 'Grace Hopper' })
    await change(sandbox, '/edit', { participant_id: edited, status: 'rejected' })
    expect(await change(sandbox, '/cancel', { count: 2 })).toEqual(['ptp_001', 'ptp_001_0'])
    expect(await change(sandbox, '/remove', { participant_id: 'ptp_004' })).toEqual(['ptp_004'])
    const { data } = (await page(sandbox, access, 'limit=50')) as { data: Row[] }
    const found = (id: string | undefined) => data.find(row => row['id'] === id)
    expect(found(added)).toMatchObject({ name: 'Ada Lovelace', application_status: 'cancelled' })
    expect(found('ptp_001')).toMatchObject({ application_status: 'cancelled', registered_at: null })
    expect(found('ptp_002')).toMatchObject({ name: 'Grace Hopper', application_status: 'rejected' })
    expect(found('ptp_004')).toBeUndefined()
    expect(data).toHaveLength(36)
    expect((await call(`${sandbox.url}/console/api/deliveries`)).json['data']).toEqual([])
  })

  test('with `tell` each change that has a webhook sends it', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    const [id] = await change(sandbox, '', { tell: true })
    await until(() => hook.received.length === 1)
    await change(sandbox, '/edit', { participant_id: id, name: 'Ada', tell: true })
    await until(() => hook.received.length === 2)
    await change(sandbox, '/edit', { participant_id: id, status: 'approved', tell: true })
    await until(() => hook.received.length === 3)
    const bodies = hook.received.map(({ body }) => JSON.parse(body) as { type: string; data: Row })
    expect(bodies.map(({ type }) => type)).toEqual([
      'application.submitted',
      'participant.profile_updated',
      'application.approved',
    ])
    expect(bodies.map(({ data }) => data['participant_id'])).toEqual([id, id, id])
    expect((await everybody(sandbox)).find(row => row['id'] === id)).toMatchObject({
      name: 'Ada',
      application_status: 'approved',
    })
  })

  test('the pages behind move on: a removal hides a row from who pages, an addition shows one twice', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    const first = await page(sandbox, access, 'limit=10')
    await change(sandbox, '/remove', { participant_id: 'ptp_003' })
    const second = await page(sandbox, access, `limit=10&cursor=${first['next_cursor']}`)
    expect(idsOf(second['data'])).not.toContain('ptp_011')
    await change(sandbox, '')
    const third = await page(sandbox, access, `limit=10&cursor=${second['next_cursor']}`)
    expect(idsOf(third['data'])[0]).toBe(idsOf(second['data']).at(-1))
  })

  test.each([
    ['/edit', { participant_id: 'ptp_001' }, 400],
    ['/edit', { participant_id: 'ptp_001', status: 'pending' }, 400],
    ['/edit', { name: 'x'.repeat(201) }, 400],
    ['/remove', { participant_id: 'ptp_101' }, 404],
    ['/cancel', { event_id: 'evt_nobody' }, 404],
    ['', { count: 1001 }, 400],
  ])('people%s %o is refused with %i', async (path, fields, status) => {
    const sandbox = await start()
    const answer = await post(sandbox, `/console/api/people${path}`, { event_id: EVENT, ...fields })
    expect(answer.status).toBe(status)
    expect(await everybody(sandbox)).toHaveLength(36)
  })

  test('a reset brings everybody back', async () => {
    const sandbox = await start()
    const before = await everybody(sandbox)
    await change(sandbox, '', { count: 3 })
    await change(sandbox, '/remove', { count: 5 })
    await post(sandbox, '/console/api/reset')
    expect(await everybody(sandbox)).toEqual(before)
  })

  test('the form leads back to its event, and says what was done', async () => {
    const sandbox = await start()
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }
    const { headers: to } = await call(`${sandbox.url}/console/people`, {
      method: 'POST',
      headers,
      body: 'event_id=evt_test_large&participant_id=&count=2&name=&status=',
    })
    expect(to.location).toBe('/people?done=people-added&count=2&what=evt_test_large#evt_test_large')
    const { text } = await call(`${sandbox.url}${to.location}`, { headers: { accept: 'text/html' } })
    expect(text).toContain('2 people added.')
    expect(text).toContain('Harbour Games Fair: 1202 people')
  })
})

describe('bad days of a list', () => {
  test.each([
    ['api_cursor_refused', 400, 'invalid_cursor'],
    ['api_page_limited', 429, 'rate_limit_exceeded'],
  ])('%s strikes a later page only', async (name, status, error) => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    await post(sandbox, '/console/api/faults', { name, count: 1 })
    const { next_cursor } = await page(sandbox, access, 'limit=10')
    const path = `/events/${EVENT}/participants?limit=10&cursor=${next_cursor}`
    const struck = await api(sandbox, access, path)
    expect([struck.status, struck.json['error']]).toEqual([status, error])
    expect((await api(sandbox, access, path)).status).toBe(200)
  })

  test('webhook_lost: nothing is sent, and it can be sent later', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    await post(sandbox, '/console/api/faults', { name: 'webhook_lost', count: 1 })
    const { json } = await post(sandbox, '/console/api/webhooks', { type: 'application.approved' })
    const lost = `/console/api/deliveries/${json['delivery_id']}`
    await until(async () => (await call(sandbox.url + lost)).json['state'] === 'dead')
    expect(hook.received).toEqual([])
    await post(sandbox, `${lost}/resend`)
    await until(() => hook.received.length === 1)
  })
})
