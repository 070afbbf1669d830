import { request as httpRequest } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { envelope, signedDelivery } from '../helpers/webhook.ts'
import { type Delivery, type Receiver, startReceiver } from './harness.ts'

const LIMIT = 2048
let app: Receiver
beforeAll(async () => {
  app = await startReceiver({ env: { WEBHOOK_BODY_LIMIT: String(LIMIT) } })
})
afterAll(() => app.close())
afterEach(async () => {
  expect(await app.rows()).toEqual([])
  expect(app.ran).toEqual([])
  app.log.length = 0
})

const codeOf = ({ status, text }: { status: number; text: string }) => `${status} ${JSON.parse(text).error}`
const without = (name: string): Delivery => {
  const { body, headers } = signedDelivery()
  return { body, headers: Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name)) }
}

/** Header lines exactly as given, which fetch-like clients do not allow; chunked where no length is given. */
function raw(lines: [string, string][], chunks: Buffer[]): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      `${app.url}/webhooks/revento`,
      { method: 'POST', headers: [['host', 'localhost'], ...lines].flat() },
      answer => {
        let text = ''
        answer.on('data', chunk => {
          text += chunk
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
      },
    )
    outgoing.on('error', reject)
    for (const chunk of chunks) outgoing.write(chunk)
    outgoing.end()
  })
}

describe('401 for everything that is not rightly signed', () => {
  const now = () => Date.now()
  const CASES: [string, string, () => Delivery][] = [
    ['no signature', 'signature_missing', () => without('x-revento-signature')],
    [
      'a malformed signature',
      'signature_malformed',
      () => signedDelivery({ headers: { 'x-revento-signature': 'sha256=00' } }),
    ],
    ['no timestamp', 'timestamp_missing', () => without('x-revento-timestamp')],
    [
      'a malformed timestamp',
      'timestamp_malformed',
      () => signedDelivery({ headers: { 'x-revento-timestamp': '1e9' } }),
    ],
    ['a timestamp 302 s old', 'timestamp_stale', () => signedDelivery({ at: now() - 302_000 })],
    ['a timestamp 302 s ahead', 'timestamp_in_future', () => signedDelivery({ at: now() + 302_000 })],
    ['another secret', 'signature_mismatch', () => signedDelivery({ secret: 'whsec_of_somebody_else' })],
    [
      'another body',
      'signature_mismatch',
      () => ({ ...signedDelivery(), body: Buffer.from(JSON.stringify(envelope())) }),
    ],
    ['no body', 'signature_mismatch', () => ({ ...signedDelivery(), body: Buffer.alloc(0) })],
    [
      'a body that is not JSON either',
      'signature_mismatch',
      () => ({ ...signedDelivery(), body: Buffer.from('{') }),
    ],
    [
      'a bad delivery id too',
      'signature_mismatch',
      () => signedDelivery({ secret: 'whsec_of_another', id: 'a b' }),
    ],
  ]
  test.each(CASES)('%s is 401: one answer, the reason only in the log', async (_, reason, delivery) => {
    const answer = await app.post(delivery())
    expect(answer.status).toBe(401)
    const { request_id, ...body } = JSON.parse(answer.text)
    expect(body).toEqual({ error: 'invalid_signature', message: 'The signature is not valid.' })
    expect(app.requestLog()).toMatchObject([{ status: 401, request_id, error: 'invalid_signature', reason }])
  })

  test.each(['x-revento-signature', 'x-revento-timestamp'] as const)('%s sent twice is 401', async name => {
    const { body, headers } = signedDelivery()
    const lines = Object.entries({ ...headers, 'content-length': String(body.length) })
    const twice = await raw([...lines, [name, headers[name]]], [body])
    expect(codeOf(twice)).toBe('401 invalid_signature')
  })
})

describe('400 for what is signed and still nothing to store', () => {
  const json = JSON.stringify(envelope())
  const BODIES: [string, Buffer | string][] = [
    ['nothing', ''],
    ['a space', ' '],
    ['a cut envelope', json.slice(0, -1)],
    ['two envelopes', json + json],
    ['a byte order mark', `\ufeff${json}`],
    ['bytes that are not UTF-8', Buffer.concat([Buffer.from('{"id":"'), Buffer.of(0xff), Buffer.from('"}')])],
    ['UTF-16', Buffer.from(json, 'utf16le')],
    ['a comment', `/* */${json}`],
    ['NaN', 'NaN'],
  ]
  test.each(BODIES)('what is signed and no JSON is 400 invalid_json: %s', async (_, body) => {
    expect(codeOf(await app.send({ body }))).toBe('400 invalid_json')
  })

  const { id: _id, ...noId } = envelope()
  const drop = (name: string) =>
    Object.fromEntries(Object.entries(envelope()).filter(([key]) => key !== name))
  const FIELDS = ['id', 'type', 'occurred_at', 'event_id', 'organization_id', 'data']
  const PAYLOADS: [string, unknown][] = [
    ['an array', []],
    ['an array of an envelope', [envelope()]],
    ['null', null],
    ['a number', 1],
    ['a string', 'x'],
    ['true', true],
    ['an empty object', {}],
    ['ids only in the prototype', { ['__proto__']: envelope(), ...noId }],
    ...FIELDS.map((name): [string, unknown] => [`no ${name}`, drop(name)]),
    ...FIELDS.map((name): [string, unknown] => [`a number as ${name}`, envelope({ [name]: 7 })]),
    ...['id', 'type', 'occurred_at', 'data'].map((name): [string, unknown] => [
      `null as ${name}`,
      envelope({ [name]: null }),
    ]),
    ...['id', 'type', 'event_id', 'organization_id'].flatMap((name): [string, unknown][] => [
      [`an empty ${name}`, envelope({ [name]: '' })],
      [`a space in ${name}`, envelope({ [name]: 'a b' })],
      [`a line break in ${name}`, envelope({ [name]: 'a\n' })],
      [`a NUL in ${name}`, envelope({ [name]: 'a\0' })],
      [`${name} of 201 characters`, envelope({ [name]: 'a'.repeat(201) })],
    ]),
    ['a list as data', envelope({ data: [] })],
    ['a string as data', envelope({ data: '{}' })],
    ['a list of ids', envelope({ id: ['evt_1'] })],
  ]
  test.each(PAYLOADS)('what is signed and no envelope is 400 invalid_payload: %s', async (_, payload) => {
    expect(codeOf(await app.send({ body: JSON.stringify(payload) }))).toBe('400 invalid_payload')
  })

  test.each([
    ['empty', ''],
    ['with a space', 'a b'],
    ['of 201 characters', 'a'.repeat(201)],
    ['with a letter beyond ASCII', 'a\u00e9'],
    ['with a tab', 'a\tb'],
  ])('invalid_delivery_id: %s', async (_, id) => {
    expect(codeOf(await app.send({ id }))).toBe('400 invalid_delivery_id')
  })

  test('a delivery id sent twice is 400 invalid_delivery_id', async () => {
    const { body, headers } = signedDelivery({ id: 'a' })
    const lines: [string, string][] = [...Object.entries(headers), ['content-length', String(body.length)]]
    expect(codeOf(await raw([...lines, ['x-revento-delivery-id', 'a']], [body]))).toBe(
      '400 invalid_delivery_id',
    )
  })
})

describe('413 and 415', () => {
  test('a body of one byte over the limit is 413, with a length and in chunks', async () => {
    const { body, headers } = signedDelivery({ body: Buffer.alloc(LIMIT + 1, ' ') })
    expect(codeOf(await app.post({ body, headers }))).toBe('413 payload_too_large')
    const lines = Object.entries({ ...headers, 'transfer-encoding': 'chunked' })
    const halves = [body.subarray(0, LIMIT), body.subarray(LIMIT)]
    expect(codeOf(await raw(lines, halves))).toBe('413 payload_too_large')
  })

  const TYPES = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json5',
    'json',
    '',
    'application/json, text/plain',
    'multipart/form-data; boundary=x',
  ]
  test.each(TYPES)('the content type "%s" is 415', async type => {
    expect(codeOf(await app.send({ headers: { 'content-type': type } }))).toBe('415 unsupported_media_type')
  })

  test('no content type is 415, with and without a body', async () => {
    expect(codeOf(await app.post(without('content-type')))).toBe('415 unsupported_media_type')
    const { headers } = without('content-type')
    expect(codeOf(await raw(Object.entries({ ...headers, 'content-length': '0' }), []))).toBe(
      '415 unsupported_media_type',
    )
  })
})

test('other methods and other spellings of the path are not there', async () => {
  const call = async (method: string, path: string) => (await fetch(`${app.url}${path}`, { method })).status
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE'])
    expect(await call(method, '/webhooks/revento'), method).toBeOneOf([404, 405])
  for (const path of ['/webhooks/revento/', '/webhooks/Revento', '/webhooks', '/webhooks/other'])
    expect(await call('POST', path), path).toBe(404)
})
