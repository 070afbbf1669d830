import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../../src/process/runtime.ts'
import { createSteadyClock } from '../../../src/process/trusted-time.ts'
import { openDatabase } from '../../../src/storage/open.ts'
import { createInlineAnswers } from '../../../src/webhooks/inline/answers.ts'
import { aghanim } from '../../../src/webhooks/providers/aghanim.ts'
import { createClient } from '../../helpers/client.ts'
import { manualClock } from '../../helpers/clock.ts'
import { type NewStore, newStore, testDatabase } from '../../helpers/database.ts'
import { erase } from '../../helpers/erase.ts'
import { freePort } from '../../helpers/ports.ts'
import { SENDERS_ENV, signedAs } from '../../helpers/senders.ts'
import { launch } from '../../helpers/stage.ts'
import { until } from '../../helpers/wait.ts'
import { question } from './inline-harness.ts'

const APP = fileURLToPath(new URL('answering-app.ts', import.meta.url))

async function startProcess(databaseUrl: string, env: Record<string, string> = {}) {
  const port = await freePort()
  const settings = {
    ...SENDERS_ENV,
    PORT: String(port),
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: 'client-secret-for-tests',
    REVENTO_WEBHOOK_SECRET: 'whsec_test_0123456789',
    DATABASE_URL: databaseUrl,
  }
  const child = launch([APP], { env: { ...settings, ...env } })
  await child.says('Ready')
  const client = createClient()
  const ask = (event_id: string) => {
    const { body, headers } = signedAs(aghanim, { body: question({ event_id }) })
    return client.post(`http://127.0.0.1:${port}/webhooks/aghanim`, body, headers)
  }
  return { ...child, ask, began: (id: string) => child.output.out.split(`began ${id}`).length - 1 }
}

describe('two processes on one database', () => {
  let made: NewStore
  let first: Awaited<ReturnType<typeof startProcess>>
  let second: typeof first
  beforeAll(async () => {
    made = await newStore()
    // To the second one's clock a lease that was taken two seconds ago has ended.
    const starting = [
      startProcess(made.url, { HANGS: '1' }),
      startProcess(made.url, { CLOCK_AHEAD_MS: '13000' }),
    ]
    ;[first, second] = (await Promise.all(starting)) as [typeof first, typeof first]
  })
  afterAll(async () => {
    await Promise.all([first.stop('SIGKILL'), second.stop('SIGKILL')])
    await made.drop()
  })

  test('one handler runs for a question that comes to both, and both give its answer', async () => {
    const apps = [first, second, first, second, first, second]
    const answers = await Promise.all(apps.map(app => app.ask('whevt_both')))
    expect(new Set(answers.map(answer => answer.status))).toEqual(new Set([200]))
    expect(new Set(answers.map(answer => answer.text)).size).toBe(1)
    expect(first.began('whevt_both') + second.began('whevt_both')).toBe(1)
  })

  test('a handler that still runs holds its key in every process: its lease is renewed', async () => {
    const asked = first.ask('whevt_slow')
    await first.says('began whevt_slow')
    const database = await openDatabase(made.store, systemRuntime)
    onTestFinished(() => database.close())
    const leaseOf = async () => {
      const leases = database.query
        .selectFrom('inline_answers')
        .select('lease_until')
        .where('key', 'like', '%whevt_slow%')
      return (await leases.executeTakeFirst())?.lease_until
    }
    const taken = Number(await leaseOf())
    await until(async () => Number(await leaseOf()) > taken, 15_000)
    const repeat = second.ask('whevt_slow')
    first.process.kill('SIGUSR2')
    const { status, text } = await repeat
    expect([status, text]).toEqual([200, JSON.stringify({ pid: first.pid })])
    // It may have been late for its own sender.
    await asked
    expect([first.began('whevt_slow'), second.began('whevt_slow')]).toEqual([1, 0])
  })

  test('a process killed before its answer leaves a lease that runs out; then the question is answered', async () => {
    const lost = first.ask('whevt_hanging').then(
      () => 'answered',
      () => 'lost',
    )
    await first.says('began whevt_hanging')
    first.process.kill('SIGKILL')
    expect(await lost).toBe('lost')
    await until(async () => (await second.ask('whevt_hanging')).status === 200)
    expect(second.began('whevt_hanging')).toBe(1)
  })
})

const delivery = (eventId: string | null = null) => ({
  provider: 'aghanim',
  platform: 'real' as const,
  deliveryId: null,
  envelope: { id: 'e1', type: 'player.verify', eventId, organizationId: null, answerKey: 'event e1' },
  receivedAt: 0,
  body: Buffer.from('{}'),
})

test('whoever lost the lease keeps nothing: the answer of the one who took over stands', async () => {
  const clock = manualClock()
  const { query } = await testDatabase()
  const answers = createInlineAnswers(query, createSteadyClock(clock), clock)
  const first = await answers.claim('k', delivery())
  expect(await answers.claim('k', delivery())).toEqual({ state: 'busy' })
  clock.advance(14_999)
  expect(await answers.claim('k', delivery())).toEqual({ state: 'busy' })
  clock.advance(1)
  const second = await answers.claim('k', delivery())
  if (first.state !== 'mine' || second.state !== 'mine') throw new Error('not claimed')
  expect(await answers.keep('k', first.owner, delivery(), { status: 200, body: '1' })).toBeUndefined()
  expect(await query.selectFrom('inbox').selectAll().execute()).toEqual([])
  await answers.letGo('k', first.owner, delivery(), { error: 'late', mayStillRun: false })
  expect(await answers.claim('k', delivery())).toEqual({ state: 'busy' })
  const id = await answers.keep('k', second.owner, delivery(), { status: 200, body: '2' })
  expect(await answers.claim('k', delivery())).toEqual({
    state: 'answered',
    answer: { status: 200, body: '2' },
    inboxId: id,
  })
})

test('a clock that is set, ahead or back, does not have a handler run beside itself, and holds its key no longer', async () => {
  for (const jump of [45_000, 3_600_000, -3_600_000, 31 * 86_400_000]) {
    const own = manualClock()
    let set = 0
    const clock = { ...own, now: () => own.now() + set }
    const { query } = await testDatabase()
    const answers = createInlineAnswers(query, createSteadyClock(clock), clock)
    const first = await answers.claim('k', delivery())
    expect(first.state).toBe('mine')
    set = jump
    expect(await answers.claim('k', delivery())).toEqual({ state: 'busy' })
    // A process that begins under that clock.
    const other = createInlineAnswers(query, createSteadyClock(clock), clock)
    if (Math.abs(jump) > 60_000) expect(await other.claim('k', delivery())).toEqual({ state: 'busy' })
    own.advance(14_999)
    expect(await answers.claim('k', delivery())).toEqual({ state: 'busy' })
    own.advance(1)
    expect((await answers.claim('k', delivery())).state).toBe('mine')
  }
})

test('answers that belong to an event go with it when it is erased', async () => {
  const clock = manualClock()
  const { query } = await testDatabase()
  const answers = createInlineAnswers(query, createSteadyClock(clock), clock)
  for (const eventId of ['evt_1', 'evt_2']) {
    const claim = await answers.claim(eventId, delivery(eventId))
    if (claim.state !== 'mine') throw new Error(claim.state)
    await answers.keep(eventId, claim.owner, delivery(eventId), { status: 200, body: '{}' })
  }
  await erase(query, clock, { eventId: 'evt_1', organizationId: null })
  expect((await query.selectFrom('inline_answers').select('key').execute()).map(row => row.key)).toEqual([
    'evt_2',
  ])
})
