import { expect, test } from 'vitest'
import { readTraceparent } from '../../src/http/request-log.ts'
import { createClient } from '../helpers/client.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { connect, participantsUrl, startPair } from '../oauth/harness.ts'
import { startReceiver } from '../webhooks/harness.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'
const HEADER = `00-${TRACE}-${PARENT}-01`

test.each([
  ['sampled', HEADER, HEADER],
  ['not sampled', `00-${TRACE}-${PARENT}-00`, `00-${TRACE}-${PARENT}-00`],
  ['with a random trace id', `00-${TRACE}-${PARENT}-03`, `00-${TRACE}-${PARENT}-03`],
  ['flags that nobody knows are cleared', `00-${TRACE}-${PARENT}-fd`, HEADER],
  ['a later version, as far as it is known', `cc-${TRACE}-${PARENT}-01-what-comes`, HEADER],
])('a traceparent goes on: %s', (_, header, onward) => {
  expect(readTraceparent(header)).toEqual({ traceId: TRACE, traceparent: onward })
})

const MALFORMED: [string, unknown][] = [
  ['nothing', undefined],
  ['empty', ''],
  ['upper case', HEADER.toUpperCase()],
  ['a trace id of zeros', `00-${'0'.repeat(32)}-${PARENT}-01`],
  ['a parent id of zeros', `00-${TRACE}-${'0'.repeat(16)}-01`],
  ['a trace id that is too short', `00-${TRACE.slice(1)}-${PARENT}-01`],
  ['no flags', `00-${TRACE}-${PARENT}`],
  ['more after version 00', `${HEADER}-more`],
  ['version ff', `ff-${TRACE}-${PARENT}-01`],
  ['two of them', `${HEADER}, ${HEADER}`],
  ['spaces around', ` ${HEADER}`],
  ['another letter', HEADER.replace('4b', 'g1')],
  ['a line break at the end', `${HEADER}\n`],
]
test.each(MALFORMED)('a malformed traceparent is ignored: %s', (_, header) => {
  expect(readTraceparent(header)).toBeUndefined()
})

test('a request with a traceparent has its trace id in its log lines, and hands it to Revento', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  pair.upstream.requests.length = 0
  pair.app.log.length = 0
  expect((await client.get(participantsUrl(pair), { traceparent: HEADER })).status).toBe(200)
  expect(pair.upstream.apiRequests().map(r => r.headers['traceparent'])).toEqual([HEADER])
  await until(() => pair.app.log.some(line => line['msg'] === 'request'))
  for (const msg of ['request', 'Revento API call'])
    expect(pair.app.log.find(line => line['msg'] === msg)).toMatchObject({ trace_id: TRACE })

  pair.app.log.length = 0
  for (const header of [undefined, `${HEADER}-more`])
    await client.get(participantsUrl(pair), header ? { traceparent: header } : {})
  expect(pair.upstream.apiRequests().map(r => r.headers['traceparent'])).toEqual([
    HEADER,
    undefined,
    undefined,
  ])
  await until(() => pair.app.log.filter(line => line['msg'] === 'request').length === 2)
  expect(JSON.stringify(pair.app.log)).not.toContain('trace_id')
})

test('a request that fails has the trace id in its log lines too', async () => {
  const pair = await startPair()
  const reply = await createClient().get(participantsUrl(pair), { traceparent: HEADER })
  expect(reply.status).toBe(401)
  const line = await until(() => pair.app.log.find(({ msg }) => msg === 'request'))
  expect(line).toMatchObject({ trace_id: TRACE, status: 401 })
})

test('the line of a webhook ties the trace to the delivery, whose handler runs without it', async () => {
  const app = await startReceiver()
  const { body, headers } = signedDelivery()
  await app.post({ body, headers: { ...headers, traceparent: HEADER } })
  const [row] = await app.settled()
  const line = await until(() => app.requestLog()[0])
  expect(line).toMatchObject({ trace_id: TRACE, delivery: row?.id })
  const handled = await until(() => app.log.find(({ msg }) => msg === 'delivery handled'))
  expect(handled).toMatchObject({ delivery: row?.id })
  expect(handled).not.toHaveProperty('trace_id')
  await app.close()
})
