import { expect, test } from 'vitest'
import { createInboxQueries } from '../../src/operator/queries.ts'
import { createReplays, PER_STEP } from '../../src/operator/replays.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { testDatabase } from '../helpers/database.ts'
import { testRuntime } from '../helpers/runtime.ts'
import { until } from '../helpers/wait.ts'
import { post, row, signIn, startOperated, stored } from './harness.ts'

const TYPE = 'application.approved'

async function instances(count: number) {
  const clock = testRuntime()
  const first = await testDatabase(clock)
  const others = await Promise.all(Array.from({ length: count - 1 }, () => openDatabase(first.store, clock)))
  const all = [first, ...others].map(({ query }) =>
    createReplays(query, { platform: 'real', inbox: createInboxQueries(query, 'real', clock) }, clock),
  )
  const close = () => Promise.all(others.map(other => other.close()))
  const pending = async () =>
    (await first.query.selectFrom('inbox').select('id').where('state', '=', 'pending').execute()).length
  const [one] = all
  if (!one) throw new Error('none')
  return { clock, query: first.query, one, all, pending, close }
}

test('a replay of 500 dead deliveries by two instances runs each once, at the rate, and leaves what dies again', async () => {
  const { clock, query, one, all, pending, close } = await instances(2)
  await stored(
    query,
    Array.from({ length: 500 }, (_, n) => row(n, { state: 'dead', type: TYPE, last_error: 'Error' })),
  )
  await stored(query, [row(900, { state: 'dead', type: 'other' })])
  const replay = await one.begin({ state: 'dead', type: TYPE })
  expect(replay).toMatchObject({ total: 500, state: 'running' })
  const runs = new Map<number, number>()
  for (let second = 1; second <= 12; second++) {
    await Promise.all(all.flatMap(replays => [replays.step(), replays.step()]))
    const fresh = await query.selectFrom('inbox').select('id').where('state', '=', 'pending').execute()
    expect(fresh.length).toBeLessThanOrEqual(PER_STEP)
    for (const { id } of fresh) runs.set(Number(id), (runs.get(Number(id)) ?? 0) + 1)
    // Its handler is as broken as before.
    await query.updateTable('outcomes').set({ state: 'dead' }).where('state', '=', 'pending').execute()
    clock.advance(1_000)
  }
  expect([runs.size, ...new Set(runs.values())]).toEqual([500, 1])
  expect(await one.find(replay.id)).toMatchObject({ replayed: 500, state: 'done' })
  expect(await pending()).toBe(0)
  await close()
})

test('a replay that is asked for twice is one; it can be stopped, and begun anew', async () => {
  const { clock, query, one, all, pending, close } = await instances(2)
  await stored(
    query,
    Array.from({ length: 120 }, (_, n) => row(n, { state: 'dead' })),
  )
  const asked = await Promise.all(
    all.flatMap((replays, n) => [
      replays.begin({ state: 'dead', since: n }),
      replays.begin({ state: 'dead', since: n + 5 }),
    ]),
  )
  expect(new Set(asked.map(({ id }) => id)).size).toBe(1)
  await one.step()
  expect(await one.stop(asked[0]?.id ?? 0)).toBe(true)
  expect(await one.stop(asked[0]?.id ?? 0)).toBe(false)
  clock.advance(10_000)
  await one.step()
  expect(await pending()).toBe(PER_STEP)
  const again = await one.begin({ state: 'dead' })
  expect(again).toMatchObject({ total: 120 - PER_STEP })
  await close()
})

test('the page shows the count first; then the deliveries run, and the replay says so', async () => {
  let ran = 0
  const handlers = { revento: { [TYPE]: async () => void ran++ } }
  const pair = await startOperated({ handlers })
  await stored(
    pair.app.database.query,
    Array.from({ length: 60 }, (_, n) =>
      row(n, { state: 'dead', type: TYPE, received_at: Date.now() - 3_600_000 }),
    ),
  )
  const { client, get, press } = await signIn(pair)
  const ask = await get(`/operator/replay?state=dead&type=${TYPE}&since=2h`)
  expect(ask.text).toContain('Replay 60 deliveries?')
  const fields = { state: 'dead', type: TYPE, confirmed: 'yes' }
  for (const status of [303, 303]) expect((await press('/operator/replays', fields)).status).toBe(status)
  await until(() => ran === 60)
  await until(async () => (await get('/operator/replays')).text.includes('60 of 60'))
  expect((await get('/operator/replays')).text.match(/60 of 60<\/strong>/g)).toHaveLength(1)
  // What they waited for is the replay: for how long they were dead is not asked.
  expect((await get('/operator')).text).toMatch(/of 99 in 100 within [\d.]+ m?s</)
  expect((await post(pair, client, '/operator/replays', fields)).status).toBe(403)
  expect(ran).toBe(60)
})
