import { expect, onTestFinished } from 'vitest'
import { createLines } from '../../src/process/logger.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { startSandbox } from '../../src/sandbox/index.ts'
import { revento } from '../../src/webhooks/providers/revento.ts'
import { CLIENT_SECRET, startApp, type TestApp, type TestAppOptions, WEBHOOK_SECRET } from '../helpers/app.ts'
import { type Client, createClient, type Reply } from '../helpers/client.ts'
import { BROWSER, EVENT } from './harness.ts'

export const FORM = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }
export const SCOPES = 'profile.read event.attendance'

export interface World {
  readonly app: TestApp
  readonly sandboxUrl: string
  /** POST /console/api/PATH of the sandbox. */
  control(path: string, body?: object): Promise<Record<string, unknown>>
  /** Returns how many refreshes the sandbox was asked for. */
  refreshes(): Promise<number>
}

/** The app, in which participants can sign in, and a sandbox of its own, which may reach it by another URL. */
export async function startWorld(o: TestAppOptions = {}, webhookUrl?: string): Promise<World> {
  const outgoing = createOutgoing()
  const options = {
    ...{
      host: '127.0.0.1',
      port: 0,
      clientId: 'client-for-tests',
      clientSecret: CLIENT_SECRET,
      redirectUri: '',
    },
    senders: [{ provider: revento, secret: WEBHOOK_SECRET, url: '' }],
    ...{
      production: false,
      runtime: systemRuntime,
      dispatcher: outgoing.api,
      log: createLines('fatal', () => {}),
    },
  }
  const sandbox = await startSandbox(options)
  const app = await startApp({
    ...{ authBase: sandbox.url, apiBase: `${sandbox.url}/api/v1`, runtime: systemRuntime, ...o },
    env: { REVENTO_USER_SCOPES: SCOPES, ...o.env },
  })
  options.redirectUri = app.config.redirectUri
  options.senders[0] = {
    provider: revento,
    secret: WEBHOOK_SECRET,
    url: webhookUrl ?? `${app.url}/webhooks/revento`,
  }
  onTestFinished(async () => {
    await app.close()
    await sandbox.close()
    await outgoing.close()
  })
  const client = createClient()
  return {
    app,
    sandboxUrl: sandbox.url,
    async control(path, body = {}) {
      const json = { 'content-type': 'application/json' }
      return (await client.post(`${sandbox.url}/console/api/${path}`, JSON.stringify(body), json)).json()
    },
    async refreshes() {
      const { data } = (await client.get(`${sandbox.url}/console/api/token-requests`)).json<{
        data: { grant_type: string; outcome: string }[]
      }>()
      return data.filter(one => one.grant_type === 'refresh_token').length
    },
  }
}

/** Follows a link of the app to the consent page, presses a button there, and returns the answer of /callback. */
async function consent(
  { sandboxUrl }: World,
  client: Client,
  from: string,
  fields: Record<string, string>,
): Promise<Reply> {
  const begun = await client.get(from)
  expect(begun.status).toBe(302)
  const page = await client.get(String(begun.headers['location']))
  const id = /name="consent" value="([^"]+)"/.exec(page.text)?.[1]
  // The request was refused before anybody was asked.
  if (id === undefined) return client.get(String(page.headers['location']))
  const decided = await client.post(
    `${sandboxUrl}/oauth/authorize`,
    new URLSearchParams({ consent: id, decision: 'authorize', ...fields }).toString(),
    FORM,
  )
  return client.get(String(decided.headers['location']))
}

export async function connectOrganizer(world: World, eventId = EVENT): Promise<Client> {
  const client = createClient()
  const reply = await consent(world, client, `${world.app.url}/connect?event_id=${eventId}`, {})
  expect(reply.json()).toMatchObject({ message: 'Connected!' })
  return client
}

export const login = (
  world: World,
  fields: Record<string, string>,
  client = createClient(),
  eventId = EVENT,
): Promise<Reply> => consent(world, client, `${world.app.url}/login?event_id=${eventId}`, fields)

/** A participant's browser. */
export async function signIn(world: World, user: string, eventId = EVENT): Promise<Client> {
  const client = createClient()
  const reply = await login(world, { user }, client, eventId)
  expect(reply.json()).toEqual({ message: 'Signed in!', event_id: eventId })
  return client
}

export const me = ({ app }: World, client: Client) => client.get(`${app.url}/me`)

export async function press(world: World, client: Client, action: string): Promise<Reply> {
  const { text } = await client.get(`${world.app.url}/me`, BROWSER)
  const token = /name="form_token" value="([^"]+)"/.exec(text)?.[1] ?? ''
  return client.post(`${world.app.url}${action}`, new URLSearchParams({ form_token: token }).toString(), FORM)
}
