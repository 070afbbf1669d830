import { expect, expectTypeOf, test } from 'vitest'
import { erasePerson, exportPerson } from '../../src/builder/person.ts'
import type { Routes } from '../../src/builder/route.ts'
import { createSealer, tokenPlace, UnsealError } from '../../src/keys/sealing.ts'
import { createAccessTokens } from '../../src/oauth/access-token.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import type { Login, OAuth } from '../../src/oauth/index.ts'
import { createRefresh } from '../../src/oauth/refresh.ts'
import { createRefreshLeases } from '../../src/oauth/refresh-lease.ts'
import { MOST_SESSIONS } from '../../src/oauth/sessions.ts'
import { createSignIns } from '../../src/oauth/sign-ins.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import { ApiError } from '../../src/revento/api.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import type { InstallationToken } from '../../src/revento/platform.ts'
import { createTokenEndpoint } from '../../src/revento/token-endpoint.ts'
import { startApp } from '../helpers/app.ts'
import { createClient, stateOf } from '../helpers/client.ts'
import { rounds } from '../helpers/rounds.ts'
import { emptyPage, json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { BROWSER, comeBack, connect, EVENT, expectError, startPair } from './harness.ts'
import {
  connectOrganizer,
  FORM,
  login,
  me,
  press,
  SCOPES,
  signIn,
  startWorld,
  type World,
} from './login-harness.ts'

const signIns = ({ app }: Pick<World, 'app'>) =>
  app.database.query.selectFrom('sign_ins').selectAll().orderBy('user_id').execute()
const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
const participants = async (world: World, organizer = connectOrganizer(world)) =>
  (await (await organizer).get(`${world.app.url}/participants?event_id=${EVENT}&limit=50`)).json<{
    data: { user_id: string; name: string; application_status: string }[]
  }>().data

test('without REVENTO_USER_SCOPES there is no route to sign in', async () => {
  const app = await startApp()
  for (const path of ['/login', '/me'])
    expect((await createClient().get(app.url + path)).json()).toMatchObject({ error: 'not_found' })
  expect((await createClient().post(`${app.url}/me/logout`, '', FORM)).status).toBe(404)
  await app.close()
})

test('a participant signs in, sees name and attendance, and signs out; the organizer’s page is untouched', async () => {
  const world = await startWorld()
  const organizer = await connectOrganizer(world)
  const [first] = await participants(world, Promise.resolve(organizer))
  const { name, application_status } = first ?? expect.fail()
  const client = await signIn(world, 'usr_001')
  expect((await me(world, client)).json()).toMatchObject({
    profile: { name },
    application: { application_status },
  })
  const page = await client.get(`${world.app.url}/me`, BROWSER)
  expect(page.text).toContain(name)
  expect(page.text).toContain(`<strong>${application_status}</strong>`)
  // Neither session opens the other's page.
  expect((await client.get(`${world.app.url}/participants?event_id=${EVENT}`)).json()).toMatchObject({
    error: 'unauthenticated',
  })
  expect((await client.get(`${world.app.url}/`, BROWSER)).text).not.toContain(name)
  expect((await me(world, organizer)).json()).toMatchObject({ error: 'not_signed_in' })
  const token = /revento_me/
  const stolen = new Map([...client.cookies].filter(([cookie]) => token.test(cookie)))
  expect((await press(world, client, '/me/logout')).headers['location']).toBe('/me')
  expect((await client.get(`${world.app.url}/me`, BROWSER)).text).toContain('href="/login"')
  const thief = createClient()
  for (const [cookie, value] of stolen) thief.cookies.set(cookie, value)
  expectNotSignedIn(await me(world, thief))
  // The consent stays: signing in again uses the same row.
  await signIn(world, 'usr_001')
  expect(await signIns(world)).toHaveLength(1)
  const { query } = world.app.database
  const [{ id = '' } = {}] = await signIns(world)
  const old = { sign_in: id, created_at: 1, expires_at: Number.MAX_SAFE_INTEGER }
  const many = Array.from({ length: MOST_SESSIONS }, (_, n) => ({ ...old, id_hash: `old ${n}` }))
  await query.insertInto('sign_in_sessions').values(many).execute()
  await signIn(world, 'usr_001')
  expect(await query.selectFrom('sign_in_sessions').select('id_hash').execute()).toHaveLength(MOST_SESSIONS)
  expect((await organizer.get(`${world.app.url}/participants?event_id=${EVENT}`)).status).toBe(200)
})

const expectNotSignedIn = (reply: { status: number; json(): object }) =>
  expect([reply.status, reply.json()]).toMatchObject([401, { error: 'not_signed_in' }])

test('forms of /me need the token of their session', async () => {
  const world = await startWorld()
  await connectOrganizer(world)
  const client = await signIn(world, 'usr_001')
  for (const action of ['/me/logout', '/me/forget'])
    expect((await client.post(world.app.url + action, 'form_token=x', FORM)).json()).toMatchObject({
      error: 'form_rejected',
    })
  expect((await me(world, client)).status).toBe(200)
})

test('who has not applied, declines, or comes before the organizer is refused, and nothing is stored', async () => {
  const world = await startWorld()
  expect((await login(world, { user: 'usr_001' })).json()).toMatchObject({ error: 'access_denied' })
  await connectOrganizer(world)
  expect((await login(world, { user: 'nobody' })).json()).toMatchObject({ error: 'access_denied' })
  expect((await login(world, { user: 'usr_001', decision: 'decline' })).json()).toMatchObject({
    error: 'access_denied',
  })
  expect(await signIns(world)).toEqual([])
})

test('the error page of a sign-in leads back to a sign-in, never to the organizer’s consent', async () => {
  const world = await startWorld()
  const client = createClient()
  const begun = await client.get(`${world.app.url}/login?event_id=${EVENT}`)
  const back = new URLSearchParams({ error: 'access_denied', state: stateOf(begun) })
  const { text } = await client.get(`${world.app.url}/callback?${back}`, BROWSER)
  expect(text).toContain(`href="/login?event_id=${EVENT}"`)
  expect(text).not.toContain('/connect')
})

test('Revento refuses each kind of token where the other is wanted', async () => {
  const world = await startWorld()
  await connectOrganizer(world)
  await signIn(world, 'usr_001')
  const [user] = await signIns(world)
  const organizer = await world.app.database.query
    .selectFrom('connections')
    .selectAll()
    .executeTakeFirstOrThrow()
  const ask = async (
    row: { access_token: Uint8Array | null },
    place: Parameters<typeof tokenPlace>[0],
    path: string,
  ) => {
    const token = sealer.open(row.access_token ?? Buffer.of(), tokenPlace(place, 'access_token'))
    return (
      await createClient().get(`${world.sandboxUrl}/api/v1${path}`, { authorization: `Bearer ${token}` })
    ).json()
  }
  const row = user ?? expect.fail()
  expect(await ask(row, { id: row.id }, `/events/${EVENT}`)).toMatchObject({
    error: 'installation_token_required',
  })
  expect(await ask(organizer, organizer, '/me/profile')).toMatchObject({ error: 'user_token_required' })
  expect(await ask(row, { id: row.id }, '/me/profile')).toMatchObject({ id: 'usr_001' })
})

test('the types take no token of one kind for the other, and no key', () => {
  type Installations = OAuth['accessTokens']
  expectTypeOf<Parameters<OAuth['api']>[0]>().toEqualTypeOf<{
    readonly eventId: string
    readonly organizationId: string
  }>()
  const mixed = (installations: Installations, { me: api, signIns: users }: Login, oauth: OAuth) => [
    // @ts-expect-error: a sign-in has no installation token.
    installations.use({ eventId: 'e', signIn: 's' }, async () => 1),
    // @ts-expect-error: a connection is no sign-in.
    api({ eventId: 'e', organizationId: 'o' }, 'r'),
    // @ts-expect-error: nor the other way round.
    oauth.api({ eventId: 'e', signIn: 's' }, 'r'),
    createAccessTokens({ connections: users, refresh: async () => {}, log: console }, runtime).use(
      { eventId: 'e', signIn: 's' },
      // @ts-expect-error: an installation's call takes no user's token.
      async (token: InstallationToken) => token,
    ),
  ]
  expect(mixed).toBeTypeOf('function')
})

/** The number of participants; in CI it is twenty. */
const PEOPLE = Math.min(20, rounds(5))

test('many participants and an organizer: no token crosses, and each is refreshed once under fifty callers', async () => {
  const world = await startWorld()
  const organizer = await connectOrganizer(world)
  const people = (await participants(world, Promise.resolve(organizer))).slice(0, PEOPLE)
  const clients = []
  for (const { user_id } of people) clients.push(await signIn(world, user_id))
  for (const [i, client] of clients.entries())
    expect((await me(world, client)).json()).toMatchObject({
      profile: people[i] && { id: people[i].user_id, name: people[i].name },
    })

  const { query } = world.app.database
  const rows = await signIns(world)
  const connection = await query.selectFrom('connections').selectAll().executeTakeFirstOrThrow()
  const all = [...rows, connection]
  const columns = ['access_token', 'refresh_token'] as const
  const places = all.flatMap(row =>
    columns.map(column => ({ column, place: tokenPlace(row, column), sealed: row[column] ?? Buffer.of() })),
  )
  const opened = new Set<string>()
  for (const one of places)
    for (const other of places)
      if (one === other) opened.add(sealer.open(one.sealed, one.place))
      else expect(() => sealer.open(one.sealed, other.place)).toThrow(UnsealError)
  expect(opened.size).toBe(2 * (PEOPLE + 1))

  const before = await world.refreshes()
  const outgoing = createOutgoing()
  const refresh = createRefresh(
    {
      leases: createRefreshLeases(query, sealer, runtime, createSteadyClock(runtime), 'real'),
      tokenEndpoint: createTokenEndpoint(world.app.config, outgoing.token, runtime),
      ...{ origin: '', log: console },
      log: { info() {}, warn() {}, error() {} },
    },
    runtime,
  )
  const o = { log: { info() {}, warn() {}, error() {} }, platform: 'real' } as const
  const users = createAccessTokens(
    { connections: createSignIns(query, sealer, runtime, o), refresh, log: o.log },
    runtime,
  )
  const installations = createAccessTokens(
    { connections: createConnections(query, sealer, runtime, o), refresh, log: o.log },
    runtime,
  )
  const call = async (token: string) => {
    if (opened.has(token)) throw new ApiError('token_expired', 401, '')
    return token
  }
  const fifty = <T>(use: () => Promise<T>) => Promise.all(Array.from({ length: 50 }, use))
  const used = [
    await fifty(() =>
      installations.use({ eventId: EVENT, organizationId: connection.organization_id }, call),
    ),
  ]
  for (const { id } of rows) used.push(await fifty(() => users.use({ eventId: EVENT, signIn: id }, call)))
  expect(used.map(tokens => new Set(tokens).size)).toEqual(Array(PEOPLE + 1).fill(1))
  expect(new Set(used.flat()).size).toBe(PEOPLE + 1)
  expect((await world.refreshes()) - before).toBe(PEOPLE + 1)
  await outgoing.close()
})

test('revoked at Revento, a participant has to sign in again, and nobody else', async () => {
  const world = await startWorld()
  const organizer = await connectOrganizer(world)
  const [one, two] = [await signIn(world, 'usr_001'), await signIn(world, 'usr_002')]
  await world.control('revoke', { user_id: 'usr_001' })
  expect((await me(world, one)).json()).toMatchObject({ error: 'sign_in_again' })
  expect((await one.get(`${world.app.url}/me`, BROWSER)).text).toContain('Sign in with Revento')
  expect((await me(world, two)).json()).toMatchObject({ problems: [] })
  expect((await organizer.get(`${world.app.url}/participants?event_id=${EVENT}`)).status).toBe(200)
  expect((await signIns(world)).map(row => [row.state, row.access_token === null])).toEqual([
    ['revoked', true],
    ['connected', false],
  ])
})

test('forgotten here, a participant leaves no row, and every browser of theirs is signed out', async () => {
  const world = await startWorld()
  await connectOrganizer(world)
  const [one, two] = [await signIn(world, 'usr_001'), await signIn(world, 'usr_001')]
  expect((await press(world, one, '/me/forget')).status).toBe(303)
  expectNotSignedIn(await me(world, two))
  expect(await signIns(world)).toEqual([])
})

test('a sign-in works only under the organizer’s connection, and waits while that is suspended', async () => {
  const world = await startWorld()
  await connectOrganizer(world)
  const client = await signIn(world, 'usr_001')
  const { query } = world.app.database
  await query.updateTable('connections').set({ state: 'suspended' }).execute()
  expect((await me(world, client)).json()).toMatchObject({ problems: ['suspended', 'suspended'] })
  await query.updateTable('connections').set({ state: 'revoked' }).execute()
  expect((await me(world, client)).json()).toMatchObject({ error: 'sign_in_again' })
  await query.updateTable('connections').set({ state: 'connected' }).execute()
  expect((await me(world, client)).json()).toMatchObject({ problems: [] })
})

test('an ending of the event erases who signed in before it; a person’s request erases theirs', async () => {
  const world = await startWorld()
  await connectOrganizer(world)
  const { query } = world.app.database
  const client = await signIn(world, 'usr_001')
  await signIn(world, 'usr_002')
  const person = { platform: 'real', eventId: EVENT, participantId: 'usr_002' } as const
  expect(await exportPerson(query, person)).toMatchObject({
    sign_ins: [{ user_id: 'usr_002', state: 'connected' }],
  })
  expect(await erasePerson(query, person, runtime)).toMatchObject({ signIns: 1 })
  expect((await signIns(world)).map(row => row.user_id)).toEqual(['usr_001'])
  await world.control('webhooks', { type: 'data.deletion_required', event_id: EVENT })
  await until(async () => (await signIns(world)).length === 0)
  expectNotSignedIn(await me(world, client))
  expect(await query.selectFrom('sign_in_sessions').selectAll().execute()).toEqual([])
  expect((await login(world, { user: 'usr_001' })).json()).toMatchObject({ error: 'access_denied' })
})

const userTokens = (change: Record<string, unknown> = {}) =>
  tokens({ access_token: 'user-token', scope: SCOPES, ...change })

/** Signs in through an upstream of the test's, which answers the code with these tokens. */
async function answered(body: object) {
  const pair = await startPair({ env: { REVENTO_USER_SCOPES: SCOPES } })
  const { client: organizer } = await connect(pair)
  pair.upstream.onToken = json(200, body)
  const client = createClient()
  const begun = await client.get(`${pair.app.url}/login`)
  const reply = await comeBack(pair, client, { code: 'good-code', state: stateOf(begun) })
  return { pair: { ...pair, organizer }, client, begun, reply }
}

test('an answer that names neither user, event nor organization is taken, and kept under an id of ours', async () => {
  const absent = { event_id: undefined, organization_id: undefined, scope: undefined }
  const { pair, reply, begun } = await answered(userTokens(absent))
  expect(new URL(String(begun.headers['location'])).searchParams.get('scope')).toBe(SCOPES)
  expect(reply.json()).toEqual({ message: 'Signed in!', event_id: EVENT })
  expect(await signIns(pair)).toMatchObject([
    { user_id: null, organization_id: 'org_test_formal', scope: SCOPES },
  ])
})

test.each([
  ['of an installation by its beginning', { access_token: 'rev_install_1' }, 502, 'upstream_error'],
  ['of an installation by its scopes', { scope: 'event.read' }, 502, 'upstream_error'],
  ['of another event', { event_id: 'evt_other' }, 400, 'event_mismatch'],
  ['of another organization', { organization_id: 'org_other' }, 400, 'event_mismatch'],
])('a token %s signs nobody in', async (_name, change, status, code) => {
  const { pair, reply } = await answered(userTokens(change))
  expectError(pair, reply, status, code)
  expect(await signIns(pair)).toEqual([])
})

test('a user’s token connects no event', async () => {
  const pair = await startPair()
  pair.upstream.onToken = json(200, userTokens())
  const client = createClient()
  const begun = await client.get(`${pair.app.url}/connect`)
  expectError(
    pair,
    await comeBack(pair, client, { code: 'good-code', state: stateOf(begun) }),
    502,
    'upstream_error',
  )
})

test('a route of the builder’s for participants has their own API; for others it is 401, and 404 where it is off', async () => {
  const routes: Routes = (app, { guard }) => {
    app.get('/app/badge', guard.participant, async ({ participant }) => (await participant.me.profile()).name)
  }
  const own = { handlers: { revento: {} }, integration: { routes } }
  const world = await startWorld(own)
  const organizer = await connectOrganizer(world)
  const client = await signIn(world, 'usr_002')
  const [, second] = await participants(world, Promise.resolve(organizer))
  const badge = (of = client) => of.get(`${world.app.url}/app/badge`)
  expect((await badge()).text).toBe(second?.name)
  expectNotSignedIn(await badge(organizer))
  await world.control('revoke', { user_id: 'usr_002' })
  expect((await badge()).json()).toMatchObject({ error: 'sign_in_again' })
  const off = await startApp(own)
  expect((await createClient().get(`${off.url}/app/badge`)).status).toBe(404)
  await off.close()
})

test('a refresh that is answered for another participant is not stored', async () => {
  const { pair, client } = await answered(userTokens({ user_id: 'usr_1' }))
  pair.upstream.onApi = json(401, { error: 'token_expired' })
  pair.upstream.onToken = json(200, userTokens({ user_id: 'usr_2', access_token: 'another' }))
  const before = await signIns(pair)
  expect((await client.get(`${pair.app.url}/me`)).json()).toMatchObject({
    problems: ['upstream_error', 'upstream_error'],
  })
  const after = await signIns(pair)
  expect(after.map(row => row.access_token)).toEqual(before.map(row => row.access_token))
  expect(pair.app.log).toContainEqual(expect.objectContaining({ outcome: 'other_event' }))
})

test('a participant has twenty calls a minute by our own count, and the organizer keeps all of theirs', async () => {
  const { pair, client } = await answered(userTokens())
  pair.upstream.onApi = json(200, { name: 'Ada' })
  const problems = async () =>
    (await client.get(`${pair.app.url}/me`)).json<{ problems: string[] }>().problems
  for (let n = 0; n < 10; n++) expect(await problems()).toEqual([])
  expect(await problems()).toEqual(['rate_budget_used', 'rate_budget_used'])
  const asked = pair.upstream.apiRequests().filter(({ path }) => path.includes('/me/'))
  expect(asked).toHaveLength(20)
  pair.upstream.onApi = json(200, emptyPage)
  expect((await pair.organizer.get(`${pair.app.url}/participants?event_id=${EVENT}`)).status).toBe(200)
})
