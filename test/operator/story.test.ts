import { expect, test } from 'vitest'
import type { SenderContext } from '../../src/builder/context.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { row, signIn, startOperated, stored } from './harness.ts'

const PERSON = {
  participant_id: 'ptp_007',
  application_status: 'approved',
  name: 'Ada Lovelace',
  email: 'ada@example.org',
  custom_form_fields: { Allergies: 'nuts' },
}

test('a story hides what is personal until asked, and the log says who asked for what', async () => {
  const { app, ...pair } = await startOperated()
  const body = Buffer.from(JSON.stringify({ id: 'e', type: 'application.approved', data: PERSON }))
  const [id] = await stored(app.database.query, [row(1, { body })])
  const { get, press } = await signIn({ ...pair, app })
  const path = `/operator/deliveries/${id}`
  const personal = /Ada|ada@|nuts|Allergies/
  const { text } = await get(path)
  expect(text).not.toMatch(personal)
  expect(text).toContain('ptp_007')
  expect(text).toContain('&quot;name&quot;: &quot;(hidden)&quot;')
  expect(text).toContain(`grep '&quot;delivery&quot;:${id}`.replaceAll("'", '&#39;').slice(0, 4))
  for (const list of ['/operator', '/operator/deliveries'])
    expect((await get(list)).text).not.toMatch(personal)
  expect((await press(`${path}/reveal`)).text).toMatch(personal)
  const asked = app.log.filter(line => line['shown'] === 'personal data')
  expect(asked).toMatchObject([{ delivery: String(id), path: `${path}/reveal` }])
  expect(JSON.stringify(app.log)).not.toMatch(personal)
})

test('a story has the trace and the few headers that are stored of how it came', async () => {
  const pair = await startOperated()
  const { query } = pair.app.database
  const [id = 0, plain] = await stored(query, [row(1), row(2)])
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  const headers = JSON.stringify({ 'user-agent': '<b>Revento/7' })
  const came = { trace_id: `${trace}-00f067aa0ba902b7`, headers }
  await query.updateTable('deliveries').set(came).where('id', '=', id).execute()
  const { get } = await signIn(pair)
  const { text } = await get(`/operator/deliveries/${id}`)
  expect(text).toContain(`<dt>Trace</dt><dd><code>${trace}</code></dd>`)
  expect(text).toContain('<dt>user-agent</dt><dd><bdi class="mono">&lt;b&gt;Revento/7</bdi></dd>')
  expect(text).toContain(`\\b|${trace}'</code>`)
  const other = await get(`/operator/deliveries/${plain}`)
  expect(other.text).not.toContain('<dt>Trace</dt>')
  expect(other.text).toContain("\\b'</code>")
})

test('what is done runs again: its steps are kept or run anew under new keys, and the story tells both', async () => {
  const keys: string[] = []
  let runs = 0
  const approved = async ({
    once,
  }: SenderContext & {
    once: (n: string, e: (to: { idempotencyKey: string }) => Promise<number>) => Promise<unknown>
  }) => {
    runs++
    await once('mail', async to => keys.push(to.idempotencyKey))
  }
  const pair = await startOperated({ handlers: { revento: { 'application.approved': approved as never } } })
  const { body, headers } = signedDelivery({ event: { type: 'application.approved' } })
  const { get, press, client } = await signIn(pair)
  await client.post(`${pair.app.url}/webhooks/revento`, body, headers)
  const done = async () =>
    (await pair.app.database.query.selectFrom('inbox').select('state').executeTakeFirst())?.state === 'done'
  await until(async () => runs === 1 && (await done()))
  const path = '/operator/deliveries/1'
  const id = (await pair.app.database.query.selectFrom('inbox').select('id').executeTakeFirstOrThrow()).id
  const story = path.replace('1', String(id))
  const ask = await press(`${story}/replay`, { again: '1' })
  expect(ask.text).toContain('under new idempotency keys')
  for (const [steps, after] of [
    ['kept', 1],
    ['anew', 2],
  ] as const) {
    const before = runs
    await press(`${story}/replay`, { again: '1', confirmed: 'yes', steps })
    await until(async () => runs === before + 1 && (await done()))
    expect([steps, keys.length, new Set(keys).size]).toEqual([steps, after, after])
  }
  const { text } = await get(story)
  expect(text).toContain('its finished steps are kept')
  expect(text).toContain('its finished steps run again too, under new keys')
  expect((await press(`${story}/replay`, { confirmed: 'yes' })).status).toBe(409)
})

test('the story of a dead delivery tells that it was asked to run again', async () => {
  const pair = await startOperated()
  const [id] = await stored(pair.app.database.query, [row(1, { state: 'dead', last_error: 'Error: no' })])
  const { get, press } = await signIn(pair)
  const told = '<strong>The operator</strong> had it run again.'
  expect((await get(`/operator/deliveries/${id}`)).text).not.toContain(told)
  await press(`/operator/deliveries/${id}/replay`, { confirmed: 'yes' })
  expect((await get(`/operator/deliveries/${id}`)).text.split(told)).toHaveLength(2)
})

test('in development a button makes a delivery due, or gives it up; in production there is no such button', async () => {
  const { app, ...pair } = await startOperated({ handlers: { revento: {} } })
  const later = Date.now() + 3_600_000
  const waits = { state: 'pending', attempts: 2, next_at: later, last_error: 'Error: no' } as const
  const [one, two] = await stored(app.database.query, [row(1, waits), row(2, waits)])
  const { get, press } = await signIn({ ...pair, app })
  expect((await get(`/operator/deliveries/${one}`)).text).toContain('Make it due now')
  const confirmed = { confirmed: 'yes' }
  expect((await press(`/operator/deliveries/${one}/dead`, confirmed)).status).toBe(303)
  expect((await get(`/operator/deliveries/${one}`)).text).toContain('given up by the operator')
  expect((await press(`/operator/deliveries/${one}/due`, confirmed)).status).toBe(409)
  expect((await press(`/operator/deliveries/${two}/due`, confirmed)).status).toBe(303)
  await until(async () => (await get(`/operator/deliveries/${two}`)).text.includes('no handler'))
})
