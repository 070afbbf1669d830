import { expect, onTestFinished, test } from 'vitest'
import { cookiePrefix } from '../../src/http/own-host.ts'
import { aghanim } from '../../src/webhooks/providers/aghanim.ts'
import { createClient, sessionCookie } from '../helpers/client.ts'
import { testStore } from '../helpers/database.ts'
import { storeDelivery } from '../helpers/erase.ts'
import { type TestRuntime, testRuntime } from '../helpers/runtime.ts'
import { SENDERS_ENV, signedAs, VERIFY_TOKEN } from '../helpers/senders.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { begin, comeBack, connect, EVENT, participantsUrl, startPair } from '../oauth/harness.ts'
import { question } from '../webhooks/inline/inline-harness.ts'

/** The whole app, whose wall clock is set while everything that ends by age is under way; on both stores. */
const [HOUR, DAY] = [3_600_000, 86_400_000]
// The clock itself meets more of them in process/trusted-time.test.ts.
const JUMPS = [HOUR, -HOUR, 31 * DAY, -730 * DAY]
const TABLES = ['inbox', 'delivery_keys', 'attempts', 'inline_answers', 'handshake_callers', 'flows'] as const
const ASKED = question({ idempotency_key: 'key-1' })

/** How often retention has looked, and waits for its next look. */
function counted(runtime: TestRuntime) {
  let looks = 0
  const sleep: TestRuntime['sleep'] = (ms, signal) => {
    if (ms === HOUR) looks++
    return runtime.sleep(ms, signal)
  }
  return { runtime: { ...runtime, sleep }, looks: () => looks }
}

async function start(databaseUrl: string, time: TestRuntime) {
  const { runtime, looks } = counted(time)
  const runs: string[] = []
  const pair = await startPair({
    databaseUrl,
    runtime,
    env: SENDERS_ENV,
    handlers: {
      revento: { 'application.approved': async ({ event }) => void runs.push(event.id) },
      aghanim: {
        'player.verify': async () => {
          runs.push('player.verify')
          return { body: { known: true } }
        },
      },
      handshake: { message: async () => {} },
    },
  })
  const { query } = pair.app.database
  const [local, caller] = [pair.app.url.replace('localhost', '127.0.0.1'), createClient()]
  const sent = (id: string) => signedDelivery({ at: time.now(), id: crypto.randomUUID(), event: { id } })
  return {
    ...pair,
    runs,
    looks,
    async deliver(id: string) {
      const { body, headers } = sent(id)
      expect((await caller.post(`${local}/webhooks/revento`, body, headers)).status).toBe(200)
      return until(async () => {
        const rows = await query
          .selectFrom('inbox')
          .select('state')
          .where('envelope_id', '=', id)
          .orderBy('id')
          .execute()
        return rows.every(row => row.state !== 'pending' && row.state !== 'running') && rows.map(r => r.state)
      })
    },
    async ask() {
      const { body, headers } = signedAs(aghanim, { body: ASKED, at: time.now() })
      const { status, text } = await caller.post(`${local}/webhooks/aghanim`, body, headers)
      return `${status} ${text}`
    },
    register: () => caller.get(`${local}/webhooks/handshake?verify_token=${VERIFY_TOKEN}`),
    async post() {
      const type = { 'content-type': 'application/json' }
      return (await caller.post(`${local}/webhooks/handshake`, '{}', type)).status
    },
    /** How many rows each table has once every run is over. */
    async held() {
      const under = query.selectFrom('inbox').select('id').where('state', 'in', ['pending', 'running'])
      await until(async () => (await under.execute()).length === 0)
      const counts = TABLES.map(async table => {
        const { n } = await query
          .selectFrom(table)
          .select(eb => eb.fn.countAll<number>().as('n'))
          .executeTakeFirstOrThrow()
        return [table, Number(n)] as const
      })
      return Object.fromEntries(await Promise.all(counts))
    },
    parked: () =>
      query.selectFrom('inbox').select('state').where('event_id', '=', 'evt_parked').executeTakeFirst(),
    connection: () => query.selectFrom('connections').select(['state', 'version']).executeTakeFirst(),
  }
}
type Stage = Awaited<ReturnType<typeof start>>

/** Everything that may end by age, made now. */
async function prepare(stage: Stage, time: TestRuntime) {
  const { client } = await connect(stage)
  expect(await stage.deliver('first')).toEqual(['done'])
  const answer = await stage.ask()
  expect(answer).toMatch(/^200 /)
  expect((await stage.register()).status).toBe(200)
  const event = { eventId: 'evt_parked', organizationId: 'org_1' }
  const values = { state: 'parked', received_at: time.now(), next_at: time.now() } as const
  await storeDelivery(stage.app.database.query, event, values)
  return { client, answer, connection: await stage.connection() }
}

/** What was made still counts; nothing of it runs again. */
async function expectAlive(stage: Stage, made: Awaited<ReturnType<typeof prepare>>) {
  expect((await made.client.get(participantsUrl(stage, EVENT))).status).toBe(200)
  expect(await stage.post()).toBe(200)
  await expectKept(stage, made)
}

async function expectKept(stage: Stage, made: Awaited<ReturnType<typeof prepare>>) {
  const [first, ...repeats] = await stage.deliver('first')
  expect([first, new Set(repeats)]).toEqual(['done', new Set(['duplicate'])])
  expect(await stage.ask()).toBe(made.answer)
  expect(await stage.parked()).toEqual({ state: 'parked' })
  expect(await stage.connection()).toEqual(made.connection)
}

async function hour(stage: Stage, time: TestRuntime, ms = HOUR) {
  const before = stage.looks()
  time.pass(ms)
  await until(() => stage.looks() > before)
}

test.for(JUMPS)(
  'the clock is set by %d ms while it runs: nothing is ended, removed or run again',
  async by => {
    const [{ url }, time] = [await testStore(), testRuntime()]
    const stage = await start(url, time)
    await until(() => stage.looks() === 1)
    time.pass(HOUR / 2)
    const made = await prepare(stage, time)
    const { client, state } = await begin(stage)
    time.setClock(by)
    expect((await comeBack(stage, client, { code: 'good-code', state })).status).toBe(200)
    made.connection = await stage.connection()
    await expectAlive(stage, made)
    const held = await stage.held()
    // Retention looks half an hour after the jump, and an hour after the clock is right again.
    await hour(stage, time, HOUR / 2)
    expect(await stage.held()).toEqual(held)
    await expectAlive(stage, made)
    time.setClock(-by)
    await expectAlive(stage, made)
    const later = await stage.held()
    await hour(stage, time)
    await hour(stage, time)
    expect({ ...(await stage.held()), flows: later['flows'] }).toEqual(later)
    await expectAlive(stage, made)
    expect(stage.runs.toSorted()).toEqual(['first', 'player.verify'])
  },
)

test.for(JUMPS)(
  'the clock is off by %d ms at a start: nothing is removed or run again; set right, all of it counts',
  async by => {
    const [{ url }, time] = [await testStore(), testRuntime()]
    const before = await start(url, time)
    const made = await prepare(before, time)
    await before.app.app.close()
    time.setClock(by)
    const stage = await start(url, time)
    onTestFinished(() => stage.app.app.close())
    await until(() => stage.looks() === 1)
    await expectKept(stage, made)
    const held = await stage.held()
    time.pass(HOUR / 2)
    time.setClock(-by)
    await hour(stage, time, HOUR / 2)
    expect(await stage.held()).toEqual(held)
    await hour(stage, time)
    expect({ ...(await stage.held()), flows: held['flows'] }).toEqual(held)
    const cookie = `${cookiePrefix(stage.app.config)}revento_session=${sessionCookie(made.client).value}`
    const shown = await createClient().get(participantsUrl(stage, EVENT), { cookie })
    expect([shown.status, await stage.post()]).toEqual([200, 200])
    await expectKept(stage, made)
    expect([...before.runs, ...stage.runs].toSorted()).toEqual(['first', 'player.verify'])
  },
)
