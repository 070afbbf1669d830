import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { senders } from '../../src/integration/senders/index.ts'
import type { ConnectionState } from '../../src/storage/schema.ts'
import { routesOf } from '../hardening/surface.ts'
import { type Client, createClient } from '../helpers/client.ts'
import { SENDERS_ENV } from '../helpers/senders.ts'
import { openStream } from '../helpers/stream.ts' // part: page
import { type Answer, json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { BROWSER, connect, type Pair, startPair } from '../oauth/harness.ts'

/** The owner whose rows are asked for, and the two other owners in the store. */
const MINE = { event_id: 'evt_a', organization_id: 'org_1' }
const OTHERS = [
  { event_id: 'evt_a', organization_id: 'org_2' },
  { event_id: 'evt_b', organization_id: 'org_1' },
]
type Key = typeof MINE
/** Stands in a delivery for MINE that came from the sandbox: on the real platform nobody is shown it. */
const SANDBOX = 'canary-of-the-sandbox'
/** Stands in everything that is stored of a connection, and in what Revento answers for it. */
const canaryOf = ({ event_id, organization_id }: Key) => `canary-of-${event_id}-${organization_id}`

const VISITORS = [
  'own',
  'reconsent',
  'suspended',
  'revoked',
  'disconnected',
  'deleted',
  'other organization',
  'other event',
  'sandbox',
  'none',
] as const
type Visitor = (typeof VISITORS)[number]
const LIVE: readonly Visitor[] = ['own', 'reconsent', 'suspended']
/** Who sees something of the store on the start page. */
const AT_START: Visitor[] = []
AT_START.push(...LIVE) // part: page

interface Stage {
  readonly pair: Pair
  readonly client: Client
  /** The dead delivery of MINE. */
  readonly id: string
  readonly formToken: string
  state(): Promise<string | undefined>
  connection(): Promise<ConnectionState | undefined>
}

interface Row {
  /** All that the visitor is answered. */
  readonly ask: (s: Stage) => Promise<string>
  /** Who is shown something of MINE. */
  readonly shows: readonly Visitor[]
  /** For whom it changes something of MINE. */
  readonly changes?: readonly Visitor[]
}

const get =
  (...paths: ((s: Stage) => string)[]) =>
  async (s: Stage) => {
    const answers = []
    for (const path of paths)
      for (const accept of [{}, BROWSER])
        answers.push((await s.client.get(s.pair.app.url + path(s), accept)).text)
    return answers.join('\n')
  }

const press = (path: (s: Stage) => string) => async (s: Stage) => {
  const form = new URLSearchParams({ ...MINE, form_token: s.formToken }).toString()
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    'sec-fetch-site': 'same-origin',
  }
  return (await s.client.post(s.pair.app.url + path(s), form, headers)).text
}

// part: page {
async function listen({ pair, client }: Stage): Promise<string> {
  const stream = await openStream(client, `${pair.app.url}/deliveries/stream?event_id=evt_a`)
  if (stream.status === 200) await stream.event('parts')
  stream.close()
  return stream.text()
}
// part: page }

/** Every route of the app. A string: why it shows nobody anything of a connection. */
const ROUTES: Readonly<Record<string, Row | string>> = {
  'GET /': {
    ask: get(
      () => '/',
      () => '/?event_id=evt_a',
    ),
    shows: AT_START,
  },
  'GET /participants': { ask: get(() => '/participants?event_id=evt_a'), shows: ['own'] },
  'GET /deliveries': { ask: get(() => '/deliveries'), shows: LIVE },
  'GET /deliveries/:id': { ask: get(s => `/deliveries/${s.id}`), shows: LIVE },
  // part: page {
  'GET /deliveries/stream': { ask: listen, shows: LIVE },
  'GET /disconnect': { ask: get(() => `/disconnect?${new URLSearchParams(MINE)}`), shows: LIVE },
  // part: page }
  'POST /deliveries/:id/replay': { ask: press(s => `/deliveries/${s.id}/replay`), shows: [], changes: LIVE },
  'POST /disconnect': { ask: press(() => '/disconnect'), shows: [], changes: ['own', 'suspended'] },
  'POST /sync': { ask: press(() => '/sync'), shows: [] },
  'POST /logout': 'ends the session that asks',
  'GET /connect': 'begins a flow, whoever asks',
  'GET /callback': 'shows what its own code and tokens give: the connection that they make',
  'GET /health': 'reads nothing',
  'HEAD /health': 'reads nothing',
  'HEAD /ready': 'says whether the store can be written',
  'GET /ready': 'says whether the store can be written',
  'GET /style.css': 'a file',
  'GET /page.js': 'a file',
  'GET /favicon.svg': 'a file',
  'POST /webhooks/revento': 'takes what its sender has signed',
  'POST /webhooks/entrupy': 'takes what its sender has signed', // part: senders
  'POST /webhooks/barker': 'takes what its sender has signed', // part: senders
  'POST /webhooks/standard': 'takes what its sender has signed', // part: senders
  'POST /webhooks/aghanim': 'answers its sender, by the key that it has signed', // part: senders
  'GET /webhooks/handshake': 'registers an address that knows the token', // part: senders
  'POST /webhooks/handshake': 'takes what such an address sends', // part: senders
}

test('every route has its row', async () => {
  const { app } = await startPair({ env: SENDERS_ENV })
  const served = routesOf({ app }).flatMap(({ path, methods }) => methods.map(method => `${method} ${path}`))
  const own = Object.keys(senders).map(name => `POST /webhooks/${name}`)
  expect(new Set(served)).toEqual(new Set([...Object.keys(ROUTES), ...own]))
})

/** The app with three connections, and a browser for one of them. */
async function stage(visitor: Visitor): Promise<Stage> {
  const pair = await startPair()
  const clients = new Map<Key, Client>()
  for (const key of [MINE, ...OTHERS]) {
    pair.upstream.onToken = json(200, tokens({ ...key, access_token: canaryOf(key) }))
    clients.set(key, (await connect(pair, createClient(), `?event_id=${key.event_id}`)).client)
    await tell(pair, key)
  }
  await tell(pair, { ...MINE, organization_id: 'org_sandbox' }, SANDBOX)
  await pair.app.database.query
    .updateTable('outcomes')
    .set({ platform: 'sandbox', organization_id: 'org_1' })
    .where('last_error', '=', SANDBOX)
    .execute()
  await pair.app.database.query
    .updateTable('deliveries')
    .set({ platform: 'sandbox', organization_id: 'org_1' })
    .where('id', 'in', eb => eb.selectFrom('outcomes').select('id').where('last_error', '=', SANDBOX))
    .execute()
  pair.upstream.onApi = revento
  const [organization = MINE, event = MINE] = OTHERS
  const keys: Partial<Record<Visitor, Key>> = { 'other organization': organization, 'other event': event }
  const client = (visitor !== 'none' && clients.get(keys[visitor] ?? MINE)) || createClient()
  // part: page {
  // The page is opened, so that the title is known before the connection ends.
  await until(async () =>
    (await clients.get(MINE)?.get(pair.app.url, BROWSER))?.text.includes(`<h1><bdi>${canaryOf(MINE)}`),
  )
  // part: page }
  await become(pair, visitor)
  const { query } = pair.app.database
  const mine = query
    .selectFrom('inbox')
    .where('event_id', '=', 'evt_a')
    .where('organization_id', '=', 'org_1')
    .where('platform', '=', 'real')
  const state = async () => (await mine.select('state').executeTakeFirst())?.state
  const id = String((await mine.select('id').executeTakeFirst())?.id)
  const connection = async () => {
    const rows = query.selectFrom('connections').select('state').where('event_id', '=', 'evt_a')
    return (await rows.where('organization_id', '=', 'org_1').executeTakeFirst())?.state
  }
  const { text } = await client.get(pair.app.url, BROWSER)
  const formToken = /name="form_token" value="([^"]+)"/.exec(text)?.[1] ?? 'none'
  return { pair, client, id, formToken, state, connection }
}

/** A webhook that names a participant; afterwards it stands in the inbox as one that was given up. */
async function tell({ app }: Pair, key: Key, canary = canaryOf(key)): Promise<void> {
  const data = { participant_id: `ptp_${key.organization_id}`, name: canary }
  const { body, headers } = signedDelivery({ event: { ...key, type: 'application.submitted', data } })
  expect((await createClient().post(`${app.url}/webhooks/revento`, body, headers)).status).toBe(200)
  const rows = () =>
    app.database.query.selectFrom('inbox').select('id').where('state', '=', 'done').executeTakeFirst()
  const { id } = await until(rows)
  const dead = { state: 'dead', attempts: 8, last_error: canary } as const
  await app.database.query.updateTable('outcomes').set(dead).where('id', '=', id).execute()
}

/** Lists the same two people for everybody, without names, and a title for whose token it is. */
const revento: Answer = (request, response) => {
  const title = String(request.headers.authorization).replace('Bearer ', '')
  const data = [{ id: 'ptp_org_1' }, { id: 'ptp_org_2' }, { id: 'ptp_3', name: title }]
  const isList = request.path.endsWith('/participants')
  json(200, isList ? { data, next_cursor: null, has_more: false } : { title })(request, response)
}

async function become({ app }: Pair, visitor: Visitor): Promise<void> {
  const { query } = app.database
  const ended = { state: 'revoked', reason: null, access_token: null, refresh_token: null } as const
  const changes: Partial<Record<Visitor, object>> = {
    reconsent: { ...ended, state: 'reconsent' },
    suspended: { state: 'suspended', asked_at: Date.now() },
    revoked: ended,
    disconnected: { ...ended, reason: 'disconnected' },
    deleted: { ...ended, state: 'deleted' },
  }
  const change = changes[visitor]
  if (change)
    await query
      .updateTable('connections')
      .set(change)
      .where('event_id', '=', 'evt_a')
      .where('organization_id', '=', 'org_1')
      .execute()
  if (visitor === 'sandbox') await query.updateTable('sessions').set({ platform: 'sandbox' }).execute()
}

const FOREIGN: Partial<Record<Visitor, Key | undefined>> = {
  'other organization': OTHERS[0],
  'other event': OTHERS[1],
}

// part: page {
/** What the page says after the end of a connection, beside how to connect it again. */
const ENDED: Partial<Record<Visitor, string>> = {
  revoked: 'Revoked: this app has no access',
  disconnected: 'Disconnected here',
  deleted: 'Ended: Revento asked to delete',
}
// part: page }

describe.for(VISITORS)('to "%s"', visitor => {
  test('each route shows and changes what is granted, and nothing else', async () => {
    const own = visitor === 'none' || visitor === 'sandbox' ? undefined : (FOREIGN[visitor] ?? MINE)
    const s = await stage(visitor)
    // part: page {
    const { text: page } = await s.client.get(s.pair.app.url, BROWSER)
    const ended = ENDED[visitor]
    const shown = ended && [ended, 'evt_a', 'org_1', 'href="/connect?event_id=evt_a"', 'Log out']
    for (const words of shown ?? []) expect(page).toContain(words)
    // part: page }
    for (const [route, row] of Object.entries(ROUTES)) {
      if (typeof row === 'string') continue
      const before = [await s.state(), await s.connection()]
      const text = await row.ask(s)
      expect([route, text.includes(canaryOf(MINE))]).toEqual([route, row.shows.includes(visitor)])
      expect([route, text.includes(SANDBOX)]).toEqual([route, false])
      for (const key of OTHERS)
        if (key !== own) expect(text, `${route} shows ${canaryOf(key)}`).not.toContain(canaryOf(key))
      const after = [await s.state(), await s.connection()]
      const changed = JSON.stringify(before) !== JSON.stringify(after)
      expect([route, changed]).toEqual([route, row.changes?.includes(visitor) ?? false])
      // What was replayed runs to its end.
      await until(async () => ['dead', 'done'].includes((await s.state()) ?? ''))
    }
  })
})

/** What runs from package.json, where the app runs. Each is the operator's: none asks for a session, and none is for one. */
const COMMANDS = [
  'backup',
  'compact',
  'deliveries',
  'dev',
  'drill',
  'go-live',
  'jobs',
  'mine',
  'move',
  'person',
  'postinstall',
  'remove',
  'reseal',
  'sandbox',
  'sync',
  'trigger',
  'update',
]

test('every command has its row, and only they and the operator’s pages read as the operator', () => {
  const root = new URL('../../', import.meta.url)
  const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const commands = Object.keys(scripts).filter(name => scripts[name]?.includes('src/cli/'))
  expect(COMMANDS).toEqual(expect.arrayContaining(commands))
  const files = readdirSync(new URL('src/', root), { recursive: true, encoding: 'utf8' })
  const reading = files.filter(file => file.endsWith('.ts') && read(`src/${file}`).includes("'operator'"))
  const known = ['cli/operate/deliveries.ts', 'operator/routes.ts', 'webhooks/inbox/deliveries.ts']
  expect(reading.toSorted()).toEqual(known)
})
