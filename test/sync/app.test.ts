import { expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { type Answer, json } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { BROWSER, connect, EVENT, type Pair, startPair } from '../oauth/harness.ts'
import { people, person } from './stage.ts'

const HOUR = 3_600_000
const ORGANIZATION = 'org_test_formal'

const listing =
  (rows: () => object[]): Answer =>
  (request, response) => {
    const [start, limit] = ['cursor', 'limit'].map(name => Number(request.query.get(name)))
    const end = (start ?? 0) + (limit ?? 25)
    const more = end < rows().length
    const data = rows().slice(start, end)
    json(200, { data, next_cursor: more ? String(end) : null, has_more: more })(request, response)
  }

const runs = ({ app }: Pair) => app.database.query.selectFrom('sync_runs').selectAll().orderBy('id').execute()
const ended = (pair: Pair, count: number) =>
  until(async () => {
    const all = await runs(pair)
    return all.length === count && all.every(run => run.finished_at !== null) && all
  })

test('what is connected is copied at once, again each day, and after an hour without webhooks; handlers hear of it', async () => {
  const heard: unknown[] = []
  const pair = await startPair({
    env: { SYNC_EVERY_HOURS: '24' },
    handlers: {
      revento: {},
      sync: {
        'participant.removed': async ({ event, participants, activities, api }) => {
          const here = await Array.fromAsync(participants.list({ status: 'approved', search: 'PERSON' }))
          const gone = await participants.find(event.data.participant_id)
          const { data } = await api.participants({ limit: 1 })
          heard.push([event.data.participant_id, event.event_id, here.length, gone?.goneAt !== undefined])
          const isFresh = (await participants.freshAsOf()) !== undefined
          heard.push([data.length, isFresh, await Array.fromAsync(activities.list())])
        },
      },
    },
  })
  let list = people(60)
  pair.upstream.onApi = listing(() => list)
  await connect(pair)
  expect(await ended(pair, 1)).toMatchObject([{ reason: 'connected', outcome: 'done', counted: 60 }])
  list = people(59)
  // What wakes notices the new time within its next look.
  pair.runtime.pass(25 * HOUR)
  const [, second, ...others] = await ended(pair, 2)
  expect([second?.reason, second?.removed, others]).toEqual(['outage', 1, []])
  expect(await until(() => heard.length === 2 && heard)).toEqual([
    ['ptp_60', EVENT, 59, true],
    [1, true, []],
  ])
  // Another instance has taken webhooks meanwhile.
  const beat = { checked_at: pair.runtime.now() + 25 * HOUR }
  await pair.app.database.query.updateTable('health').set(beat).where('id', '=', 2).execute()
  pair.runtime.pass(25 * HOUR)
  expect((await ended(pair, 3))[2]).toMatchObject({ reason: 'scheduled', outcome: 'done', removed: 0 })
})

test('POST /sync compares an event of the session’s own, by its form only, and gives the run that is under way', async () => {
  const pair = await startPair()
  pair.upstream.onApi = listing(() => [person(1)])
  const { client } = await connect(pair)
  const { text } = await client.get(pair.app.url, BROWSER)
  const form_token = /name="form_token" value="([^"]+)"/.exec(text)?.[1] ?? ''
  const press = (form: Record<string, string>, by = client) =>
    by.post(`${pair.app.url}/sync`, new URLSearchParams(form).toString(), {
      'content-type': 'application/x-www-form-urlencoded',
      'sec-fetch-site': 'same-origin',
    })
  const mine = { event_id: EVENT, organization_id: ORGANIZATION }
  const codes = []
  for (const [form, by] of [
    [mine, client],
    [{ ...mine, form_token }, createClient()],
    [{ ...mine, event_id: 'evt_other', form_token }, client],
    [{ ...mine, organization_id: 'org_other', form_token }, client],
  ] as const)
    codes.push((await press(form, by)).status)
  expect([codes, await runs(pair)]).toEqual([[403, 401, 404, 404], []])
  const reply = await press({ ...mine, form_token })
  expect([reply.status, reply.json()]).toEqual([200, { done: true, ...mine, run: expect.any(Number) }])
  expect(await ended(pair, 1)).toMatchObject([{ reason: 'asked', outcome: 'done', counted: 1 }])
  pair.upstream.onApi = json(200, {})
  await pair.app.database.query.updateTable('connections').set({ state: 'revoked' }).execute()
  expect((await press({ ...mine, form_token })).status).toBe(404)
})

test('nothing outside can send what only this app may: there is no such route, whatever is signed', async () => {
  const { app } = await startPair()
  const { body, headers } = signedDelivery({ event: { type: 'participant.removed' } })
  for (const path of ['/webhooks/sync', '/webhooks/SYNC'])
    expect((await createClient().post(app.url + path, body, headers)).status).toBe(404)
})
