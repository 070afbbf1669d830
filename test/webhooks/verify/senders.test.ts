import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { SenderContext } from '../../../src/builder/context.ts'
import { aghanim } from '../../../src/webhooks/providers/aghanim.ts'
import { barker } from '../../../src/webhooks/providers/barker.ts'
import { entrupy } from '../../../src/webhooks/providers/entrupy.ts'
import { shippedProviders as providers } from '../../../src/webhooks/providers/index.ts'
import { standard } from '../../../src/webhooks/providers/standard.ts'
import type { Provider } from '../../../src/webhooks/verify/provider.ts'
import { startApp, type TestApp } from '../../helpers/app.ts'
import { createClient } from '../../helpers/client.ts'
import { previousOf, SENDERS_ENV, signedAs } from '../../helpers/senders.ts'
import { until } from '../../helpers/wait.ts'

const others = providers.filter(({ name }) => name !== 'revento')
const ran: SenderContext[] = []
const note = async (context: SenderContext) => {
  ran.push(context)
}
let app: TestApp
beforeAll(async () => {
  const message = { message: note }
  const handlers = {
    revento: {},
    entrupy: { 'session.completed': note },
    barker: message,
    standard: { ...message, 'user.created': note },
    aghanim: { 'player.verify': async () => undefined },
  }
  app = await startApp({ env: { ...SENDERS_ENV, WEBHOOK_BODY_LIMIT: '4096' }, handlers })
})
afterAll(() => app.close())
beforeEach(async () => {
  await settled()
  for (const table of ['outcomes', 'deliveries', 'delivery_keys', 'inline_answers'] as const)
    await app.database.query.deleteFrom(table).execute()
  ran.length = 0
  app.log.length = 0
})

const rows = () => app.database.query.selectFrom('inbox').selectAll().orderBy('id').execute()
const settled = () =>
  until(async () => {
    const all = await rows()
    return all.every(row => row.state !== 'pending' && row.state !== 'running') && all
  })
const client = createClient()
const post = (provider: Provider, o?: Parameters<typeof signedAs>[1]) => {
  const { body, headers } = signedAs(provider, o)
  return client.post(`${app.url}/webhooks/${provider.name}`, body, headers)
}

describe.each(others.map(provider => [provider.name, provider] as const))('%s', (name, provider) => {
  test('a sender has no route without a secret', async () => {
    const bare = await startApp()
    const { body, headers } = signedAs(provider)
    const answer = await client.post(`${bare.url}/webhooks/${name}`, body, headers)
    expect([answer.status, answer.json()['error']]).toEqual([404, 'not_found'])
    await bare.close()
  })

  test('a delivery is stored byte for byte before its answer, with both secrets', async () => {
    const sent = signedAs(provider)
    expect((await client.post(`${app.url}/webhooks/${name}`, sent.body, sent.headers)).status).toBe(200)
    expect(Buffer.from((await rows())[0]?.body ?? [])).toEqual(sent.body)
    expect((await post(provider, { secret: previousOf(provider) })).status).toBe(200)
    expect(app.log.filter(line => line['msg'] === 'request').map(line => line['secret'])).toEqual([
      'current',
      'previous',
    ])
    expect((await settled()).map(row => [row.provider, row.state])).toEqual([
      [name, 'done'],
      [name, 'done'],
    ])
  })

  test('the same delivery again is answered alike, and recorded as a duplicate without its body', async () => {
    const { body, headers } = signedAs(provider)
    const send = () => client.post(`${app.url}/webhooks/${name}`, body, headers)
    const [first, second] = [await send(), await send()]
    expect([second.status, second.text]).toEqual([first.status, first.text])
    const [one, two] = await settled()
    expect(one).toMatchObject({ state: 'done', duplicate_of: null })
    expect(two).toMatchObject({ state: 'duplicate', duplicate_of: one?.id, body: null })
  })

  test('a wrong signature gets the refusal of its document, and the reason is only in the log', async () => {
    const { body, headers } = signedAs(provider, { secret: previousOf(provider).slice(0, -8) + 'AAAAAAA=' })
    const answer = await client.post(`${app.url}/webhooks/${name}`, body, headers)
    const { status, code } = provider.refusal
    expect([answer.status, answer.json()['error'], answer.headers['cache-control']]).toEqual([
      status,
      code,
      'no-store',
    ])
    expect(answer.text).not.toContain('mismatch')
    expect(app.log.find(line => line['msg'] === 'request')).toMatchObject({ reason: 'signature_mismatch' })
    expect(await rows()).toEqual([])
  })

  test('a body over the limit is 413, at the limit it is taken', async () => {
    expect((await post(provider, { body: Buffer.alloc(4097, ' ') })).status).toBe(413)
    expect((await post(provider, { body: Buffer.alloc(4096, ' ') })).status).toBe(
      provider.body === 'bytes' ? 200 : 400,
    )
  })
})

test.each([
  ['barker', 'timestamp_stale', 'timestamp_in_future'],
  ['standard', 'timestamp_stale', 'timestamp_in_future'],
  // Its document does not say what the time means: not judged.
  ['aghanim', undefined, undefined],
])('%s: 302 s too old and too new', async (name, ...reasons) => {
  const provider = others.find(other => other.name === name) ?? barker
  for (const at of [-302_000, 302_000]) await post(provider, { at: Date.now() + at })
  const lines = app.log.filter(line => line['msg'] === 'request')
  expect(lines.map(line => line['reason'])).toEqual(reasons)
  expect(await rows()).toHaveLength(reasons[0] ? 0 : 2)
})

describe('entrupy', () => {
  test('Entrupy is answered as its document says', async () => {
    const good = await post(entrupy)
    expect([good.status, good.text]).toEqual([200, '{"status":"ok"}'])
    const bad = await post(entrupy, { headers: { 'entrupy-signature': 'SHA256:AAAA' } })
    expect([bad.status, bad.json()['error']]).toEqual([401, 'unauthorized'])
  })

  test('Entrupy may send any content type: its document names none', async () => {
    for (const type of ['text/plain', 'application/octet-stream', 'application/x-www-form-urlencoded'])
      expect((await post(entrupy, { headers: { 'content-type': type } })).status, type).toBe(200)
  })

  test.each([
    ['{"event":"support.message"}', 'support.message'],
    ['{"type":"certificate.transfer"}', 'certificate.transfer'],
    ['{"event":7,"event_type":"a.b"}', 'a.b'],
    ['{"note":"café"}', 'notification'],
    ['[]', 'notification'],
    ['{"event":"two words"}', 'notification'],
  ])('finds the type of %s: %s', async (body, type) => {
    expect((await post(entrupy, { body })).status).toBe(200)
    expect((await rows()).map(row => row.type)).toEqual([type])
  })

  test('what Entrupy signs and is not JSON is 400', async () => {
    expect((await post(entrupy, { body: 'text' })).json()['error']).toBe('invalid_json')
  })
})

describe('barker', () => {
  test.each([
    ['text', 'plain text, not JSON', undefined],
    ['JSON', '{"hello":"world"}', { hello: 'world' }],
    ['nothing', '', undefined],
    ['bytes that are not UTF-8', Buffer.of(0xff, 0x00, 0xfe), undefined],
    ['what looks like JSON', '{"a":', undefined],
  ])('takes %s, without a content type, and hands it over raw', async (_, body, event) => {
    const { headers } = signedAs(barker, { body })
    expect(headers).not.toHaveProperty('content-type')
    expect((await post(barker, { body })).status).toBe(200)
    await until(() => ran.length === 1)
    expect(ran[0]?.raw).toEqual(Buffer.from(body))
    expect(ran[0]?.event).toEqual(event)
    expect(ran[0]?.delivery).toMatchObject({ provider: 'barker', attempt: 1 })
  })

  test('the same data of Barker at another moment is another delivery', async () => {
    const at = Date.now()
    for (const ms of [0, 1]) expect((await post(barker, { body: 'x', at: at - ms })).status).toBe(200)
    expect((await settled()).map(row => row.state)).toEqual(['done', 'done'])
  })
})

describe('standard webhooks', () => {
  test('a list of signatures is taken of which one matches, and passes over other versions', async () => {
    const { body, headers } = signedAs(standard)
    const right = String(headers['webhook-signature'])
    const wrong = `v1,${'A'.repeat(43)}=`
    const send = (signature: string) =>
      client.post(`${app.url}/webhooks/standard`, body, { ...headers, 'webhook-signature': signature })
    for (const list of [
      `${wrong} ${right}`,
      `${right} ${wrong}`,
      `v1a,abcd ${right}`,
      `v2,abcd ${wrong} ${right}`,
    ])
      expect((await send(list)).status, list).toBe(200)
    for (const list of [wrong, `v1a,abcd`, `${wrong} ${wrong}`, `${right}  ${right}`, `${right} junk`])
      expect((await send(list)).status, list).toBe(401)
  })

  test('the id of a standard webhook is its key, with its case: the same id is one delivery', async () => {
    for (const id of ['msg_aB', 'msg_ab', 'msg_aB']) expect((await post(standard, { id })).status).toBe(200)
    expect((await settled()).map(row => [row.delivery_id, row.state])).toEqual([
      ['msg_aB', 'done'],
      ['msg_ab', 'done'],
      ['msg_aB', 'duplicate'],
    ])
  })

  test('the type of a standard webhook is the body, or message where it has none', async () => {
    for (const body of ['{"type":"user.created"}', '{"test": 2432232314}'])
      expect((await post(standard, { body })).status).toBe(200)
    expect((await rows()).map(row => row.type)).toEqual(['user.created', 'message'])
  })

  test.each([standard, aghanim].map(p => [p.name, p] as const))('%s takes JSON only', async (_, provider) => {
    expect((await post(provider, { headers: { 'content-type': 'text/plain' } })).status).toBe(415)
  })
})

/** Empty, no media type, two of them, half of one. */
const UNREADABLE = ['', 'garbage', ';', 'application', 'text/plain, application/json', '/', 'a b/c']

test.each([entrupy, barker].map(p => [p.name, p] as const))(
  '%s: a content type that nobody can read is as good as any',
  async (_, provider) => {
    for (const type of UNREADABLE)
      expect((await post(provider, { headers: { 'content-type': type } })).status, type).toBe(200)
    expect(await settled()).toHaveLength(UNREADABLE.length)
  },
)

test.each([standard, aghanim].map(p => [p.name, p] as const))(
  '%s: a content type that nobody can read is 415, in the shape of every error',
  async (_, provider) => {
    for (const type of UNREADABLE) {
      const answer = await post(provider, { headers: { 'content-type': type } })
      expect([answer.status, answer.json()['error']], type).toEqual([415, 'unsupported_media_type'])
    }
  },
)

test('a delivery that one provider signed is refused by every other', async () => {
  for (const from of others)
    for (const to of others) {
      if (from === to) continue
      const { body, headers } = signedAs(from)
      const { status } = await client.post(`${app.url}/webhooks/${to.name}`, body, headers)
      expect([401, 403, 415], `${from.name} to ${to.name}`).toContain(status)
    }
  expect(await rows()).toEqual([])
})

test('the log holds no secret, no signature and no body', async () => {
  for (const provider of others) {
    await post(provider)
    await post(provider, { secret: previousOf(provider), body: '{"canary":"zebra"}' })
    await post(provider, { body: '{"canary":"zebra"}', headers: { [provider.signature.header]: 'zebra' } })
  }
  const log = JSON.stringify(app.log)
  for (const word of ['zebra', 'current-of-', 'previous-of-', 'SHA256:', 'v1,'])
    expect(log).not.toContain(word)
})
