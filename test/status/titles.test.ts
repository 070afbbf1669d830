import { expect, test } from 'vitest'
import { createTitles } from '../../src/status/page/titles.ts'
import { manualClock } from '../helpers/clock.ts'
import { type Answer, emptyPage, json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { BROWSER, connect, EVENT, startPair } from '../oauth/harness.ts'

const KEY = { eventId: 'evt_1', organizationId: 'org_1' }

test('a title is asked for once an hour, and after a failure not again for five minutes', async () => {
  const clock = manualClock()
  const titles = createTitles(clock)
  let asked = 0
  const answers = (row: object | Error) => async () => {
    asked++
    if (row instanceof Error) throw row
    return { ...row }
  }
  await titles.learn(KEY, answers(new Error('no')))
  await titles.learn(KEY, answers({ title: 'too early' }))
  expect([asked, titles.of(KEY)]).toEqual([1, undefined])
  clock.advance(300_000)
  await titles.learn(KEY, answers({ title: 'Lantern Con' }))
  await titles.learn(KEY, answers({ title: 'too early' }))
  expect([asked, titles.of(KEY)]).toEqual([2, 'Lantern Con'])
  clock.advance(3_600_000)
  await titles.learn(KEY, answers(new Error('no')))
  expect([asked, titles.of(KEY)]).toEqual([3, 'Lantern Con'])
})

test('a clock that is set back does not put off the next question', async () => {
  const clock = manualClock()
  let back = 0
  const runtime = { ...clock, now: () => clock.now() - back }
  const titles = createTitles(runtime)
  await titles.learn(KEY, async () => ({ title: 'Before' }))
  back = 730 * 86_400_000
  clock.advance(3_600_000)
  await titles.learn(KEY, async () => ({ title: 'After' }))
  expect(titles.of(KEY)).toBe('After')
})

test.for<[object, string | undefined]>([
  [{ title: 5, name: 'A name' }, 'A name'],
  [{ title: '  ' }, undefined],
  [{ title: 'x'.repeat(300) }, 'x'.repeat(200)],
])('the title of %j is %s', async ([row, title]) => {
  const titles = createTitles(manualClock())
  await titles.learn(KEY, async () => ({ ...row }))
  expect(titles.of(KEY)).toBe(title)
})

test('the page does not wait for the title, and shows it when it is known', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  const late = Promise.withResolvers<void>()
  const onApi: Answer = (request, response) => {
    if (request.path.endsWith('/participants')) return json(200, emptyPage)(request, response)
    void late.promise.then(() => json(200, { title: 'Lantern Con' })(request, response))
  }
  pair.upstream.onApi = onApi
  const page = async () => (await client.get(`${pair.app.url}/`, BROWSER)).text
  expect(await page()).not.toContain('Lantern Con')
  late.resolve()
  await until(async () => (await page()).includes('<bdi>Lantern Con</bdi>'))
  const asked = pair.upstream.apiRequests().filter(({ path }) => path === `/api/v1/events/${EVENT}`)
  expect(asked).toHaveLength(1)
})

test('without event.read no title is asked for', async () => {
  const pair = await startPair()
  pair.upstream.onToken = json(200, tokens({ scope: 'participants.read' }))
  const { client } = await connect(pair)
  await client.get(`${pair.app.url}/`, BROWSER)
  expect(pair.upstream.apiRequests().every(({ path }) => path.endsWith('/participants'))).toBe(true)
})
