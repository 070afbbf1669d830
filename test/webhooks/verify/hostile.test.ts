import { Agent, request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { providers, shippedProviders } from '../../../src/webhooks/providers/index.ts'
import { sign } from '../../../src/webhooks/verify/signature.ts'
import { startApp } from '../../helpers/app.ts'
import { testRuntime } from '../../helpers/runtime.ts'
import { until } from '../../helpers/wait.ts'
import { type Hostile, hostile } from './hostile.ts'
import { type KnownAnswer, knownAnswers, seedOf } from './known-answers.ts'

const SENDERS = 16

/** One app for all: each provider's secret is its known answers', and the clock stands at their moment. */
async function start() {
  let now = Date.now()
  const runtime = { ...testRuntime(), now: () => now }
  const env = Object.fromEntries(providers.map(p => [p.secret.variable, seedOf(p).secret]))
  const handlers = { revento: {}, aghanim: { 'player.verify': async () => undefined } }
  const app = await startApp({ env, runtime, handlers })
  const agent = new Agent({ connections: SENDERS })
  onTestFinished(async () => {
    await agent.close()
    await app.close()
  })
  const rows = async () => {
    const tables = ['inbox', 'inline_answers', 'delivery_keys'] as const
    const all = tables.map(table => app.database.query.selectFrom(table).selectAll().execute())
    return (await Promise.all(all)).flat().length
  }
  const post = async ({ provider }: KnownAnswer, { headers, body }: Omit<Hostile, 'what'>) => {
    const url = `${app.url}/webhooks/${provider.name}`
    const answer = await request(url, { method: 'POST', headers, body, dispatcher: agent })
    await answer.body.dump()
    return answer.statusCode
  }
  const at = (ms: number) => {
    now = ms
  }
  return { ...app, rows, post, at }
}

/** `verify` itself meets every one in providers.test.ts, also what HTTP cannot carry, or trims on the way. */
const isSendable = ({ headers }: Hostile) =>
  Object.values(headers).every(value => /^[\t\x20-\x7e\x80-\xff]*$/.test(value) && value === value.trim())

/** Returns every sixteenth of the cases with one flipped bit, changed digit or cut, and all the others. */
const isSent = ({ what }: Hostile, n: number) =>
  n % 16 === 0 || !/^(bit \d+ flipped|cut to \d+|byte \d+|. at \d+ of the signature)/.test(what)

test('2,000 hostile deliveries over sockets: none accepted, none answered 500, none stored', async () => {
  const app = await start()
  const counts: Record<string, number> = {}
  const answers: Record<number, number> = {}
  for (const k of providers.flatMap(provider => knownAnswers(provider).slice(0, 1))) {
    // A vector of its own secret is another installation: signed anew with ours, it is a delivery like the others.
    const ours = { ...k, secret: seedOf(k.provider).secret }
    const signature = sign(k.provider, ours.secret, k.timestamp, k.body, k.id)
    const seed = { ...ours, signature, headers: { ...k.headers, [k.provider.signature.header]: signature } }
    app.at(k.now)
    const corpus = hostile(seed).filter((next, n) => isSendable(next) && isSent(next, n))
    const sender = async () => {
      for (const next of corpus) {
        counts[k.provider.name] = (counts[k.provider.name] ?? 0) + 1
        const status = await app.post(seed, next)
        answers[status] = (answers[status] ?? 0) + 1
        if (status < 400 || status >= 500) expect.fail(`${k.provider.name} ${status}: ${next.what}`)
      }
    }
    await Promise.all(Array.from({ length: SENDERS }, sender))
  }
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  console.log(`hostile deliveries: ${total}`, counts, 'answers', answers)
  expect(total).toBeGreaterThanOrEqual(400 * shippedProviders.length)
  expect(Object.keys(answers).every(status => ['401', '403', '415'].includes(status))).toBe(true)
  expect(await app.rows()).toBe(0)

  // The known answers of a builder's sender may be of bodies that are no envelopes.
  for (const provider of shippedProviders) {
    const seed = seedOf(provider)
    app.at(seed.now)
    expect(await app.post(seed, seed), provider.name).toBe(200)
  }
  const stored = await until(async () => {
    const all = await app.database.query.selectFrom('inbox').select('provider').execute()
    return all.length === shippedProviders.length && all
  })
  expect(new Set(stored.map(row => row.provider))).toEqual(new Set(shippedProviders.map(p => p.name)))
}, 90_000)
