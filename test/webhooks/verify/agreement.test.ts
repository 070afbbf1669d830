import { spawnSync } from 'node:child_process'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { barker } from '../../../src/webhooks/providers/barker.ts'
import { entrupy } from '../../../src/webhooks/providers/entrupy.ts'
import { standard } from '../../../src/webhooks/providers/standard.ts'
import { sign, verify } from '../../../src/webhooks/verify/signature.ts'
import { startApp, type TestApp } from '../../helpers/app.ts'
import { createClient } from '../../helpers/client.ts'
import { SENDERS_ENV, secretOf, signedAs } from '../../helpers/senders.ts'
import { knownAnswers } from './known-answers.ts'

let app: TestApp
beforeAll(async () => {
  app = await startApp({ env: SENDERS_ENV, handlers: { revento: {} } })
})
afterAll(() => app.close())

describe('the public library of Standard Webhooks', () => {
  const secret = secretOf(standard)
  const library = new Webhook(secret)
  const body = '{"type":"user.created","data":{"name":"Café 🎉"}}'

  test('the public library of Standard Webhooks takes what we send', () => {
    for (let i = 0; i < 20; i++) {
      const { headers } = signedAs(standard, { body: `${body}${' '.repeat(i)}`, id: `msg_${i}` })
      expect(library.verify(`${body}${' '.repeat(i)}`, headers)).toMatchObject({ type: 'user.created' })
    }
  })

  test('we take what the public library of Standard Webhooks sends', async () => {
    const now = new Date()
    const headers = {
      'content-type': 'application/json',
      'webhook-id': 'msg_library',
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      'webhook-signature': library.sign('msg_library', now, body),
    }
    const answer = await createClient().post(`${app.url}/webhooks/standard`, body, headers)
    expect([answer.status, answer.text]).toEqual([200, 'ok'])
  })
})

/** The documents' own recipes, as they sign. Arguments: key, timestamp, body in hex. */
const PYTHON = `
import base64, hashlib, hmac, sys
which, key, timestamp, body = sys.argv[1], sys.argv[2].encode(), sys.argv[3], bytes.fromhex(sys.argv[4])
if which == 'barker':
    print(hmac.new(key, timestamp.encode() + b';' + body, 'md5').hexdigest())
else:
    print('SHA256:' + base64.b64encode(hmac.new(key, body, hashlib.sha256).digest()).decode())
`
const python = (...args: string[]) => spawnSync('python3', ['-c', PYTHON, ...args], { encoding: 'utf8' })
const hasPython = spawnSync('python3', ['-c', '']).status === 0

describe.each([entrupy, barker].map(p => [p.name, p] as const))("python3's hmac and %s", (name, provider) => {
  test('agree on every known answer, and where python3 is, on bodies of any bytes', () => {
    for (const k of knownAnswers(provider))
      expect(sign(provider, k.secret, k.timestamp, k.body)).toBe(k.signature)
    if (!hasPython) return
    const time = provider.timestamp?.fromMs(1_747_000_123_456) ?? ''
    for (const body of [
      Buffer.alloc(0),
      Buffer.from('Café 🎉'),
      Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => i)),
    ]) {
      const theirs = python(name, secretOf(provider), time, body.toString('hex')).stdout.trim()
      expect(sign(provider, secretOf(provider), time, body)).toBe(theirs)
      const headers = { [provider.signature.header]: theirs, ...(time && { barker_timestamp: time }) }
      expect(verify(provider, { current: secretOf(provider) }, headers, body, 1_747_000_123_456).ok).toBe(
        true,
      )
    }
  })
})

test("what Python's str(time.time()) writes is a timestamp of Barker's", () => {
  const written = ['1747000123.0', '1747000123.5', '1747000123.123456', '1747000123.1234567']
  const { stdout } = spawnSync(
    'python3',
    ['-c', 'import time\nfor _ in range(200): print(str(time.time()))'],
    { encoding: 'utf8' },
  )
  for (const text of [...written, ...(stdout ?? '').split('\n').filter(Boolean)])
    expect(barker.timestamp?.form.test(text), text).toBe(true)
})
