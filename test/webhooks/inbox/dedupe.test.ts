import { afterEach, beforeEach, expect, test } from 'vitest'
import { rounds } from '../../helpers/rounds.ts'
import { until } from '../../helpers/wait.ts'
import { envelope, signedDelivery } from '../../helpers/webhook.ts'
import { type Receiver, startReceiver } from '../harness.ts'

let app: Receiver
beforeEach(async () => {
  app = await startReceiver()
})
afterEach(() => app.close())

const summary = async () =>
  (await app.settled()).map(({ id, state, duplicate_of, body }) => [id, state, duplicate_of, body !== null])
const FIRST_AND_REPEAT = [
  [1, 'done', null, true],
  [2, 'duplicate', 1, false],
]
const event = envelope({ id: 'evt_same' })
const body = JSON.stringify(event)

test.each([
  ['the same delivery again, newly signed', 'a1', 'a1', Date.now() - 5000],
  ['the same delivery id in other case', 'ab-cd', 'AB-Cd', Date.now()],
  ['the same envelope under another delivery id', 'a1', 'b2', Date.now()],
  ['the same envelope, the second time without a delivery id', 'a1', null, Date.now()],
  ['the same envelope, both times without a delivery id', null, null, Date.now()],
])('%s: 200, recorded as duplicate without its body, handled once', async (_, first, second, at) => {
  expect((await app.send({ body, id: first, at })).status).toBe(200)
  await app.settled()
  expect(await app.send({ body, id: second })).toMatchObject({ status: 200, text: 'ok' })
  expect(await summary()).toEqual(FIRST_AND_REPEAT)
  expect(app.ran).toEqual(['evt_same'])
})

test('two hundred simultaneous copies: two hundred times 200, one run, 199 duplicates', async () => {
  const copy = signedDelivery({ body, id: 'same' })
  const answers = await Promise.all(Array.from({ length: 200 }, () => app.post(copy)))
  expect(answers.map(answer => answer.status)).toEqual(answers.map(() => 200))
  const rows = await app.settled()
  expect(rows.filter(row => row.state === 'done').map(row => row.id)).toEqual([1])
  const repeats = rows.filter(row => row.state === 'duplicate')
  expect(repeats).toHaveLength(199)
  expect(new Set(repeats.map(row => row.duplicate_of))).toEqual(new Set([1]))
  expect(repeats.every(row => row.body === null)).toBe(true)
  expect(app.ran).toEqual(['evt_same'])
})

test('an exact replay under hundreds of new delivery ids: the handler ran once', async () => {
  const times = rounds(200)
  const { headers } = signedDelivery({ body, id: 'original' })
  const replay = (n: number) =>
    app.post({ body: Buffer.from(body), headers: { ...headers, 'x-revento-delivery-id': `replay-${n}` } })
  expect((await replay(0)).status).toBe(200)
  for (let n = 1; n <= times; n += 100) {
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => replay(n + i)))
    expect(answers.every(answer => answer.status === 200)).toBe(true)
  }
  const rows = await app.settled()
  expect(rows.filter(row => row.state === 'duplicate')).toHaveLength(times)
  expect(app.ran).toEqual(['evt_same'])
})

test('fifty different deliveries at once are all handled, once each', async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => app.send()))
  expect(answers.every(answer => answer.status === 200)).toBe(true)
  const rows = await app.settled()
  expect(rows.map(row => row.state)).toEqual(rows.map(() => 'done'))
  expect(new Set(app.ran)).toEqual(new Set(rows.map(row => row.envelope_id)))
  expect(app.ran).toHaveLength(50)
})

test('a replayed body under another’s delivery id does not use that id up', async () => {
  await app.send({ body, id: 'own' })
  await app.settled()
  await app.send({ body, id: 'victim' })
  await app.settled()
  await app.send({ event: { id: 'evt_victim' }, id: 'victim' })
  expect((await app.settled()).map(row => row.state)).toEqual(['done', 'duplicate', 'done'])
  expect(app.ran).toEqual(['evt_same', 'evt_victim'])
})

test('a used delivery id with another signed body: the first stands, and the log warns', async () => {
  await app.send({ event: { id: 'evt_first' }, id: 'oNe' })
  await app.settled()
  expect((await app.send({ event: { id: 'evt_second' }, id: 'One' })).status).toBe(200)
  expect(await summary()).toEqual(FIRST_AND_REPEAT)
  expect(app.ran).toEqual(['evt_first'])
  // The log tells of what has been committed, a moment after others can read it.
  const warnings = () => app.log.filter(line => line['level'] === 'warn' && line['duplicate_of'] === 1)
  await until(() => warnings().length > 0)
  expect(warnings()).toMatchObject([{ delivery: 2, msg: expect.stringContaining('another body') }])
})

test('a plain repeat is no warning', async () => {
  await app.send({ body, id: 'one' })
  await app.send({ body, id: 'one' })
  await app.settled()
  const told = () => app.log.filter(line => line['msg'] === 'duplicate delivery')
  await until(() => told().length > 0)
  expect(told()).toMatchObject([{ duplicate_of: 1 }])
  expect(app.log.filter(line => ['warn', 'error'].includes(String(line['level'])))).toEqual([])
})

test('a repeat of an ignored delivery is a duplicate too', async () => {
  const unknown = JSON.stringify(envelope({ type: 'no.such.type' }))
  await app.send({ body: unknown, id: 'one' })
  await app.send({ body: unknown, id: 'one' })
  expect((await app.settled()).map(row => row.state)).toEqual(['ignored', 'duplicate'])
})

test('an envelope id and a delivery id that read the same are two things', async () => {
  await app.send({ event: { id: 'same-text' }, id: 'x1' })
  await app.send({ event: { id: 'evt_other' }, id: 'same-text' })
  expect((await app.settled()).map(row => row.state)).toEqual(['done', 'done'])
})
