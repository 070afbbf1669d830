import { beforeEach, expect, test } from 'vitest'
import { createOnce, type Effect, type Once } from '../../src/builder/once.ts'
import type { RunHandler } from '../../src/webhooks/dispatch/run.ts'
import { createDeliveries } from '../../src/webhooks/inbox/deliveries.ts'
import { erase } from '../helpers/erase.ts'
import { until } from '../helpers/wait.ts'
import { type Bench, bench } from '../webhooks/dispatch/dispatching.ts'

let b: Bench
beforeEach(async () => {
  b = await bench()
})

/** A dispatcher whose handler is `work`. */
const dispatch = (work: (once: Once, attempt: number) => Promise<unknown>) => {
  const run: RunHandler = async (delivery, signal, note) => {
    await work(createOnce(b.database.query, delivery, { signal, note }, b.clock), delivery.attempt)
  }
  return b.dispatcher({ run })
}
/** Moves the time until it is so. */
const comesTo = (id: number, state: string) =>
  until(async () => {
    b.clock.advance(200)
    return (await b.row(id)).state === state
  })
const kept = () => b.database.query.selectFrom('effects').select(['name', 'attempt', 'result']).execute()
const stepsOf = async (id: number) =>
  (await createDeliveries(b.database.query).find(String(id), 'operator'))?.runs.map(run =>
    run.calls.map(({ what, result }) => `${what}: ${result}`),
  )

/** Counts, and gives what it was given. */
function outside() {
  const keys: string[] = []
  const post = async ({ idempotencyKey }: Effect) => ({
    number: keys.push(idempotencyKey),
    sent: new Date(0),
  })
  return { keys, post }
}

test('a second run gets from once() what the first one brought, and the story says so', async () => {
  const { keys, post } = outside()
  const given: unknown[] = []
  dispatch(async (once, attempt) => {
    given.push(await once('welcome mail', post))
    if (attempt === 1) throw new Error('after its work')
  })
  const id = await b.append()
  await comesTo(id, 'done')
  expect(given).toEqual(Array.from({ length: 2 }, () => ({ number: 1, sent: '1970-01-01T00:00:00.000Z' })))
  expect(keys).toHaveLength(1)
  expect(await stepsOf(id)).toEqual([['once welcome mail: done'], ['once welcome mail: kept from run 1']])
})

test('an effect that threw runs again, with the same key; another name, and another delivery, have another', async () => {
  const keys: string[] = []
  dispatch(async (once, attempt) => {
    await once('a', async to => void keys.push(to.idempotencyKey))
    await once('b', async to => {
      keys.push(to.idempotencyKey)
      if (attempt === 1) throw new Error('refused')
    })
  })
  const id = await b.append()
  await comesTo(id, 'done')
  await comesTo(await b.append(), 'done')
  const [a, first, again, ...next] = keys
  expect([first === again, new Set(keys).size, keys.length]).toEqual([true, 4, 6])
  for (const key of [a, first, ...next]) expect(key).toMatch(/^[\w-]{32}$/)
  expect(await stepsOf(id)).toEqual([
    ['once a: done', 'once b: failed'],
    ['once a: kept from run 1', 'once b: done'],
  ])
})

test.each<[string, (once: Once) => Promise<unknown>, string]>([
  [
    'a name given twice',
    async once => [await once('a', async () => 1), await once('a', async () => 2)],
    'the same name',
  ],
  ['no name', once => once('', async () => 1), 'takes a name'],
  ['a name with an end of line', once => once('a\nb', async () => 1), 'takes a name'],
  ['a result that is no JSON', once => once('a', async () => 1n), 'no JSON'],
  ['a function', once => once('a', async () => () => {}), 'no JSON'],
  ['a result over 64 KB', once => once('a', async () => 'é'.repeat(32_768)), '64 KB'],
])('%s ends its delivery at once: no further run would mend it', async (_what, work, says) => {
  dispatch(work)
  const id = await b.append()
  expect(await b.reaches(id, 'dead')).toMatchObject({ attempts: 1 })
  expect((await b.row(id)).last_error).toContain(says)
})

test('an effect may return nothing, or up to 64 KB', async () => {
  const given: unknown[] = []
  dispatch(async (once, attempt) => {
    given.push(await once('nothing', async () => {}), await once('null', async () => null))
    given.push((await once('much', async () => 'x'.repeat(65_534))).length)
    if (attempt === 1) throw new Error('after its work')
  })
  const id = await b.append()
  await comesTo(id, 'done')
  expect(given).toEqual([undefined, null, 65_534, undefined, null, 65_534])
})

test('after a process that died behind an effect the next one does not repeat it, and the story has it', async () => {
  const { keys, post } = outside()
  let runs = 0
  dispatch(async once => {
    runs += 1
    await once('welcome', post)
    if (runs === 1) await new Promise(() => {})
  })
  const id = await b.append()
  await until(async () => (await kept()).length === 1)
  // The delivery is left as a claim of another process finds it when the lease has run out.
  await b.database.query
    .updateTable('outcomes')
    .set({ lease_owner: 'dead', next_at: b.clock.now() })
    .where('id', '=', id)
    .execute()
  dispatch(async once => void (await once('welcome', post)))
  await comesTo(id, 'done')
  expect(keys).toHaveLength(1)
  expect((await stepsOf(id))?.flat()).toEqual(['once welcome: done', 'once welcome: kept from run 1'])
})

test('a run that has lost its lease begins no effect, and leaves none behind', async () => {
  const { keys, post } = outside()
  const refused: unknown[] = []
  dispatch(async once => {
    const lose = () => b.database.query.updateTable('outcomes').set({ lease_owner: 'another' }).execute()
    const late = once('late', async () => void (await lose()))
    refused.push(await late.catch((error: Error) => error.name))
    refused.push(await once('later', post).catch((error: Error) => error.name))
  })
  await b.append()
  await until(() => refused.length === 2)
  expect([refused, keys, await kept()]).toEqual([['RunIsOver', 'RunIsOver'], [], []])
})

test('the results of effects go with their event, and a run under way leaves none behind', async () => {
  const { query } = b.database
  const owner = { eventId: 'evt_1', organizationId: 'org_1' }
  let erased = false
  const refused: unknown[] = []
  dispatch(async once => {
    await once('before', async () => 'Ada')
    if (!erased) return
    const during = once('during', async () => void (await erase(query, b.clock, owner)))
    refused.push(await during.catch((error: Error) => error.name))
  })
  await b.reaches(await b.append(), 'done')
  expect(await kept()).toMatchObject([{ name: 'before', result: '"Ada"' }])
  erased = true
  await b.append()
  await until(() => refused.length === 1)
  expect([refused, await kept()]).toEqual([['RunIsOver'], []])
})
