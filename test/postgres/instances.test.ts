import { expect, onTestFinished, test } from 'vitest'
import { createSealer } from '../../src/keys/sealing.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import { createEventData } from '../../src/storage/event-data.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { appendTo } from '../../src/webhooks/inbox/append.ts'
import { createInlineAnswers } from '../../src/webhooks/inline/answers.ts'
import { startApp } from '../helpers/app.ts'
import { createClient, stateOf } from '../helpers/client.ts'
import { testDatabase, testStore } from '../helpers/database.ts'
import { erase, storeDelivery } from '../helpers/erase.ts'
import { rounds } from '../helpers/rounds.ts'
import { tokenSet } from '../helpers/sealed.ts'
import { openStream } from '../helpers/stream.ts'
import { emptyPage, json, startUpstream } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'

/** Apps on one database, each with its own connections to it and its own dispatcher. */
async function instances(count: number, ran: string[] = [], o: Partial<Parameters<typeof startApp>[0]> = {}) {
  const { url: databaseUrl } = await testStore()
  const note = async ({ event }: { event: { id: string } }) => void ran.push(event.id)
  const handlers = { revento: { 'application.approved': note } }
  const apps = []
  for (let i = 0; i < count; i++) {
    const app = await startApp({ databaseUrl, handlers, connections: 10, ...o })
    onTestFinished(() => app.close())
    apps.push(app)
  }
  return apps
}

test('the same delivery to four instances at once runs once, each time', {
  timeout: 60_000,
}, async () => {
  const ran: string[] = []
  const apps = await instances(4, ran)
  const [first] = apps
  const times = rounds(5)
  for (let round = 0; round < times; round++) {
    const { body, headers } = signedDelivery({ id: `delivery-${round}`, event: { id: `evt_round_${round}` } })
    const answers = await Promise.all(
      apps.map(app => createClient().post(`${app.url}/webhooks/revento`, body, headers)),
    )
    expect(answers.map(answer => answer.status)).toEqual([200, 200, 200, 200])
  }
  const rows = await until(async () => {
    const all = (await first?.database.query.selectFrom('inbox').selectAll().execute()) ?? []
    return all.every(row => row.state === 'done' || row.state === 'duplicate') && all
  }, 30_000)
  expect(ran).toHaveLength(times)
  expect(new Set(ran).size).toBe(times)
  expect(rows).toHaveLength(4 * times)
  expect(rows.filter(row => row.state === 'done')).toHaveLength(times)
})

/** Again where it failed: two seconds can pass while other tests have the processor. */
const SHORT = { retry: 2 }

/** Two of them, and a browser that began on the first and came back on the second. */
async function connectedPair() {
  const upstream = await startUpstream()
  onTestFinished(() => upstream.close())
  upstream.onApi = json(200, emptyPage)
  const env = { REVENTO_REDIRECT_URI: 'http://app.test/callback' }
  const apps = await instances(2, [], { env, authBase: upstream.authBase, apiBase: upstream.apiBase })
  const client = createClient()
  const state = stateOf(await client.get(`${apps[0]?.url}/connect`))
  const callback = `/callback?${new URLSearchParams({ code: 'good-code', state })}`
  const back = await client.get(`${apps[1]?.url}${callback}`)
  expect([back.status, back.json()['message']]).toEqual([200, 'Connected!'])
  return { apps, client, callback }
}

test('connect on one instance, come back on another: connected, and the session holds on both', async () => {
  const { apps, client, callback } = await connectedPair()
  for (const { url } of apps)
    expect((await client.get(`${url}/participants?event_id=evt_test_published`)).status).toBe(200)
  const again = await client.get(`${apps[0]?.url}${callback}`)
  expect(again.json()['error']).toBe('state_used')
})

test(
  'whoever takes a delivery in, the streams of both instances show it handled within two seconds',
  SHORT,
  async () => {
    const { apps, client } = await connectedPair()
    const streams = await Promise.all(apps.map(app => openStream(client, `${app.url}/deliveries/stream`)))
    for (const stream of streams) await stream.event('parts')
    for (const [n, app] of apps.entries()) {
      const { body, headers } = signedDelivery()
      await createClient().post(`${app.url}/webhooks/revento`, body, headers)
      const begun = performance.now()
      const shown = (data: string) => data.split('>handled<').length > n + 1
      for (const stream of streams) await stream.event('parts', shown)
      expect(performance.now() - begun).toBeLessThan(2_000)
    }
  },
)

test(
  'a delivery whose instance died right after its commit is run by another within two seconds',
  SHORT,
  async () => {
    const ran: string[] = []
    const [app] = await instances(1, ran)
    if (!app) throw new Error('no app')
    for (let round = 0; round < rounds(1); round++) {
      const { body } = signedDelivery({ event: { id: `evt_${round}` } })
      const envelope = {
        id: `evt_${round}`,
        type: 'application.approved',
        eventId: null,
        organizationId: null,
      }
      const received = { deliveryId: null, envelope, receivedAt: Date.now(), body }
      const delivery = { provider: 'revento', platform: 'real', ...received } as const
      // Committed as that instance did, which told nobody.
      await appendTo(app.database)([delivery])
      const begun = performance.now()
      await until(() => ran.length === round + 1)
      expect(performance.now() - begun).toBeLessThan(2_000)
    }
  },
)

test('of many that claim an answer at once, one gets it, each time', async () => {
  const { query } = await testDatabase()
  const envelope = { id: 'e', type: 't', eventId: null, organizationId: null }
  const received = { deliveryId: null, envelope, receivedAt: 0, body: Buffer.from('{}') }
  const delivery = { provider: 'aghanim', platform: 'real', ...received } as const
  const answers = createInlineAnswers(query, createSteadyClock(runtime), runtime)
  for (let round = 0; round < rounds(5); round++) {
    const claims = await Promise.all(Array.from({ length: 8 }, () => answers.claim(`key ${round}`, delivery)))
    expect(claims.filter(claim => claim.state === 'mine')).toHaveLength(1)
  }
})

test('an erasure and what is written meanwhile: nothing personal is left, each time', async () => {
  const { store } = await testDatabase()
  const databases = await Promise.all([openDatabase(store, runtime), openDatabase(store, runtime)])
  onTestFinished(async () => void (await Promise.all(databases.map(database => database.close()))))
  const [one, other] = databases.map(({ query }) => query)
  if (!one || !other) throw new Error('no databases')
  const data = createEventData(one, runtime, 'real')
  for (let round = 0; round < rounds(5); round++) {
    const event = { eventId: `evt_${round}`, organizationId: 'org_1' }
    const id = await storeDelivery(one, event)
    const save = (n: number) =>
      data.saveParticipant(
        { id, ...event },
        { participantId: `p${n}`, name: 'Ada', type: 't', occurredAt: '2026-05-09T14:00:00Z' },
      )
    await Promise.all([save(1), save(2), erase(other, runtime, event), save(3), save(4)])
    expect(await data.participants(event)).toEqual([])
  }
})

test('an erasure and a reconnect at once end as if one had come after the other', async () => {
  const { query } = await testDatabase()
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
  const log = { error() {}, warn() {} }
  const connections = createConnections(query, sealer, runtime, { log, platform: 'real' })
  for (let round = 1; round <= rounds(5); round++) {
    await connections.save(tokenSet(round))
    await Promise.all([erase(query, runtime, { eventId: `evt_${round}` }), connections.save(tokenSet(round))])
    const { through } = await query
      .selectFrom('erasures')
      .select('through')
      .where('event_id', '=', `evt_${round}`)
      .executeTakeFirstOrThrow()
    const found = await connections.find({ eventId: `evt_${round}`, organizationId: 'org_1' })
    expect(found?.state).toBe(through < Number.MAX_SAFE_INTEGER ? 'connected' : 'deleted')
  }
})
