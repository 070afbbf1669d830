import Fastify from 'fastify'
import { describe, expect, onTestFinished, test } from 'vitest'
import { AppError } from '../../../src/http/errors.ts'
import { systemRuntime } from '../../../src/process/runtime.ts'
import type { Incoming } from '../../../src/webhooks/inbox/append.ts'
import { receiveRoute } from '../../../src/webhooks/receive.route.ts'
import { autopsy } from '../../../src/webhooks/verify/autopsy.ts'
import type { Provider } from '../../../src/webhooks/verify/provider.ts'
import { verify } from '../../../src/webhooks/verify/signature.ts'
import { signedAs } from '../../helpers/senders.ts'
import { seedOf } from '../verify/known-answers.ts'
import { github } from './github.ts'
import { moreSenders } from './index.ts'
import { shopify } from './shopify.ts'
import { slack } from './slack.ts'
import { stripe } from './stripe.ts'

const SECRET = 'secret-of-a-sender'

/** The route of a sender by itself, over an inbox that keeps what it gets. */
async function startRoute(provider: Provider) {
  const stored: Incoming[] = []
  const outcomes: unknown[] = []
  const app = Fastify()
  onTestFinished(() => app.close())
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setErrorHandler((error, _request, reply) =>
    error instanceof AppError ? reply.code(error.status).send(error.code) : reply.code(500).send('?'),
  )
  receiveRoute(app, {
    provider,
    secrets: { [provider.name]: { current: SECRET } },
    inbox: { append: async (delivery: Incoming) => stored.push(delivery), waiting: () => 0 } as never,
    answerInline: () => Promise.reject(new Error('not inline')),
    platform: 'real',
    bodyLimit: 4096,
    explain: false,
    noteUse: () => {},
    counted: ({ outcome }, _reply, done) => {
      outcomes.push(outcome)
      done()
    },
    runtime: systemRuntime,
  })
  const post = async (change: Record<string, string | undefined> = {}, o: { type?: string } = {}) => {
    const { body, headers } = signedAs(provider, { secret: SECRET, ...o })
    const all = Object.entries({ ...headers, ...change }).filter(([, value]) => value !== undefined)
    const url = `/${provider.name}`
    const answer = await app.inject({ method: 'POST', url, headers: Object.fromEntries(all), payload: body })
    return [answer.statusCode, answer.body]
  }
  return { post, stored, outcomes }
}

test.each(moreSenders.map(sender => [sender.name, sender] as const))(
  '%s: what it signs is stored under its type, and answered as it wants',
  async (_, sender) => {
    const { post, stored } = await startRoute(sender)
    const text = typeof sender.accepted === 'string' ? sender.accepted : JSON.stringify(sender.accepted)
    for (const type of sender.types)
      expect(await post({}, { type })).toEqual([sender.acceptedStatus ?? 200, text])
    expect(stored.map(({ envelope }) => envelope.type)).toEqual(sender.types)
    expect(await post({ [sender.signature.header]: 'x' })).toEqual([
      sender.refusal.status,
      'invalid_signature',
    ])
    expect(stored).toHaveLength(sender.types.length)
  },
)

describe('a type in a header', () => {
  test.each([github, shopify].map(sender => [sender.name, sender] as const))(
    '%s: is marked unsigned in the log, and a missing or unreadable one is 400',
    async (_, sender) => {
      const { post, stored, outcomes } = await startRoute(sender)
      const header = String(sender.unsignedTypeHeader)
      await post()
      expect(outcomes).toEqual([expect.objectContaining({ type: sender.types[0], type_unsigned: true })])
      for (const wrong of [undefined, '', 'two words', 'a'.repeat(201)])
        expect(await post({ [header]: wrong }), String(wrong)).toEqual([400, 'invalid_payload'])
      expect(stored).toHaveLength(1)
    },
  )

  test('a type in a header is not read of a sender that signs its type', async () => {
    const { post, stored } = await startRoute(stripe)
    await post({ 'x-github-event': 'push' })
    expect(stored.map(({ envelope }) => envelope.type)).toEqual(['charge.refunded'])
  })
})

describe('stripe', () => {
  const seed = seedOf(stripe)
  const judge = (header: string, now = seed.now) =>
    verify(stripe, { current: seed.secret }, { 'stripe-signature': header }, seed.body, now)
  const [time = '', mac = ''] = seed.signature.split(',')

  test('of a stripe header one signature that matches is enough, and other schemes are passed over', () => {
    const other = `v1=${'0'.repeat(64)}`
    const whole = `${seed.signature},v0=${'0'.repeat(64)}`
    for (const header of [whole, `${time},${other},${mac}`, `${mac},${time}`, `${time},v2=x,${mac},k=`])
      expect(judge(header), header).toEqual({ ok: true, secret: 'current' })
    expect(judge(`${time},${other}`)).toEqual({ ok: false, reason: 'signature_mismatch' })
  })

  test('the time of a stripe header is the one that was signed, once', () => {
    for (const header of [`${time},${time},${mac}`, `${mac},t=1,${time}`])
      expect(judge(header), header).toEqual({ ok: false, reason: 'timestamp_missing' })
    expect(judge(`t=1764460801,${mac}`)).toEqual({ ok: false, reason: 'signature_mismatch' })
    expect(judge(seed.signature, seed.now + 301_000)).toEqual({ ok: false, reason: 'timestamp_stale' })
  })

  test('the log says what is wrong with a stripe header', () => {
    const say = (header: string, now = seed.now, secret = seed.secret) =>
      autopsy(stripe, { stripe: { current: secret } }, { 'stripe-signature': header }, seed.body, now)
    expect(say(seed.signature, seed.now + 400_000)).toContain('400 s behind')
    expect(say(seed.signature, seed.now, 'another-secret')).toBeUndefined()
  })
})

test('slack: the log says when the literal before the rest is missing', () => {
  const seed = seedOf(slack)
  const headers = signedAs(
    { ...slack, signed: { parts: ['timestamp'], separator: ':' } },
    { secret: seed.secret, body: seed.body, at: seed.now },
  ).headers
  expect(autopsy(slack, { slack: { current: seed.secret } }, headers, seed.body, seed.now)).toContain(
    'without "v0:"',
  )
})
