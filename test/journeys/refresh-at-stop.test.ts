import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { WEBHOOK_SECRET } from '../helpers/app.ts'
import { createClient, type Reply, stateOf } from '../helpers/client.ts'
import { type Program, startMain } from '../helpers/program.ts'
import { hasSandbox } from '../helpers/stage.ts'
import { json, startUpstream, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { knows } from '../oauth/harness.ts'

/** Longer than a stop takes where nothing is under way, and within what it may take. */
const SLOW_MS = 4_500

async function start(o: Parameters<typeof startMain>[0] = {}): Promise<Program> {
  const app = await startMain(o)
  await until(() => app.output.out.includes('Ready'), 60_000)
  return app
}

/** A platform that takes its time for a refresh, and an app that is connected and whose access token has expired. */
async function stage(env: Record<string, string> = {}) {
  const upstream = await startUpstream()
  onTestFinished(() => upstream.close())
  upstream.onToken = json(200, tokens({ access_token: 'old', refresh_token: 'refresh-1' }))
  const app = await start({
    env: {
      REVENTO_CLIENT_ID: 'client-for-tests',
      REVENTO_CLIENT_SECRET: 'client-secret-for-tests',
      REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
      REVENTO_AUTH_BASE: upstream.authBase,
      REVENTO_API_BASE: upstream.apiBase,
      ...env,
    },
  })
  const client = createClient()
  const origin = app.url.replace('127.0.0.1', 'localhost')
  const state = stateOf(await client.get(`${origin}/connect?event_id=evt_test_published`))
  expect((await client.get(`${origin}/callback?code=c&state=${state}`)).status).toBe(200)
  upstream.onApi = knows('fresh')
  upstream.onToken = (request, response) =>
    void delay(SLOW_MS).then(() =>
      json(200, tokens({ access_token: 'fresh', refresh_token: 'refresh-2' }))(request, response),
    )
  upstream.requests.length = 0
  const under = async () => void (await until(() => upstream.tokenRequests().length === 1, 20_000))
  return { upstream, app, client, origin, under }
}

function connection({ folder }: Program) {
  const database = new DatabaseSync(join(folder, 'data', 'test.db'), { readOnly: true })
  const row = database.prepare('select state, version, refresh_phase, lease_until from connections').get()
  database.close()
  return { ...row }
}

const KEPT = { state: 'connected', version: 2, refresh_phase: 'idle', lease_until: 0 }

async function begunByPage(): Promise<Program> {
  const { app, client, origin, under } = await stage()
  const asked = client.get(`${origin}/participants?event_id=evt_test_published`).catch(() => undefined)
  await under()
  app.process.kill('SIGTERM')
  expect(await app.ended).toBe(0)
  await asked
  return app
}

async function begunByHandler(): Promise<Program> {
  const asking = new URL('asking-handlers.ts', import.meta.url).href
  const { app, under } = await stage({ HANDLERS: asking })
  const { body, headers } = signedDelivery()
  const sent = await fetch(`${app.url}/webhooks/revento`, { method: 'POST', body, headers })
  expect(sent.status).toBe(200)
  await under()
  app.process.kill('SIGTERM')
  expect(await app.ended).toBe(0)
  return app
}

async function besideSandbox(): Promise<Program> {
  const app = await start()
  const client = createClient()
  const origin = app.url.replace('127.0.0.1', 'localhost')
  const sandbox = `http://127.0.0.1:${app.sandboxPort}`
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  const locationOf = ({ headers }: Reply) => String(headers['location'])
  const consent = await client.get(locationOf(await client.get(`${origin}/connect`)))
  const [, id = ''] = /name="consent" value="([^"]+)"/.exec(consent.text) ?? []
  const decision = new URLSearchParams({ consent: id, decision: 'authorize' }).toString()
  const back = await client.post(`${sandbox}/oauth/authorize`, decision, form)
  expect((await client.get(locationOf(back), { accept: 'application/json' })).status).toBe(200)
  const tell = (path: string, fields: object) =>
    client.post(`${sandbox}/console/api${path}`, JSON.stringify(fields), {
      'content-type': 'application/json',
    })
  await tell('/expire-access-tokens', {})
  await tell('/faults', { name: 'token_slow', count: 1 })
  const asked = client.get(`${origin}/participants?event_id=evt_test_published`).catch(() => undefined)
  await until(() => connection(app)['refresh_phase'] === 'sent', 20_000)
  app.process.kill('SIGTERM')
  expect(await app.ended).toBe(0)
  await asked
  return app
}

/** At once, so that the slow answer is waited for once. */
const BEGUN: Record<string, () => Promise<Program>> = {
  'by a page': begunByPage,
  'by a handler': begunByHandler,
  ...(hasSandbox && { 'beside the sandbox, which stops after the app': besideSandbox }),
}

test(`SIGTERM waits for a refresh under way, and stores its pair: ${Object.keys(BEGUN).join('; ')}`, {
  timeout: 90_000,
}, async () => {
  const kept = Object.entries(BEGUN).map(async ([begun, run]) => [begun, connection(await run())])
  expect(await Promise.all(kept)).toEqual(Object.keys(BEGUN).map(begun => [begun, KEPT]))
})
