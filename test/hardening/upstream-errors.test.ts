import { inspect } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createApiClient } from '../../src/revento/api.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { createTokenEndpoint } from '../../src/revento/token-endpoint.ts'
import { testBudgets } from '../helpers/budgets.ts'
import { sealerOf } from '../helpers/sealed.ts'
import { canary, Findings } from './canaries.ts'
import { type HostileServer, hostileServer, type Wire } from './hostile-server.ts'
import { http, nonsense, redirects, refusals, type Wires } from './upstream-wires.ts'

const SECRETS = {
  access: 'access-token-0123456789abcdefZq',
  refresh: 'refresh-token-0123456789abcdefZq',
  client: 'client-secret-0123456789abcdefZq',
  code: 'code-0123456789abcdef0123456789Zq',
  verifier: 'verifier-0123456789abcdef0123456789abcdefZq',
}

/** Everything that hangs on it: own members, hidden ones, causes, and what those hold. */
function secretsIn(thing: unknown): string[] {
  const all = {
    depth: 30,
    showHidden: true,
    maxArrayLength: null,
    maxStringLength: null,
    getters: true,
  } as const
  const findings = new Findings()
  findings.add('log', inspect(thing, all))
  return Object.values(SECRETS).filter(secret => findings.of(canary(secret, secret)).length > 0)
}

test('the walk finds a secret in a cause of a cause, and in a hidden member', () => {
  const deep = new Error('a', {
    cause: new AggregateError([Object.assign(new Error('b'), { token: SECRETS.access })]),
  })
  expect(secretsIn(deep)).toEqual([SECRETS.access])
  expect(secretsIn(Object.defineProperty(new Error('c'), 'x', { value: SECRETS.client }))).toEqual([
    SECRETS.client,
  ])
})

/** Answers with what it was asked, wherever an answer has room for it. */
const echoes = (heard: string): Wires => {
  const told = heard.replaceAll(/[^!-~]+/g, ' ')
  const headers = { 'www-authenticate': `Bearer error="${told}"`, location: `/?${told}`, 'x-echo': told }
  const body = JSON.stringify({ error: told, error_description: told, access_token: `${told} ` })
  return Object.fromEntries(
    [200, 302, 400, 401, 429, 500].map(s => [`${s} with it all`, http(s, body, headers)]),
  )
}

async function hostile(name: string, wires: Wires): Promise<HostileServer> {
  return hostileServer(({ raw }) => ({ ...wires, ...echoes(raw) })[name] as Wire)
}

const IDS = { eventId: 'evt_1', organizationId: 'org_1' }
let clients = 0
function clientsOf({ base }: Pick<HostileServer, 'base'>, counting: Awaited<ReturnType<typeof testBudgets>>) {
  const outgoing = createOutgoing()
  onTestFinished(() => outgoing.close())
  const log = { info: () => {}, warn: () => {}, error: () => {} }
  const who = { clientId: 'client-id', clientSecret: SECRETS.client }
  const where = { authBase: base, redirectUri: 'http://localhost/callback', scopes: 'event.read' }
  const client = createApiClient(
    { ...counting, apiBase: `${base}/api/v1`, dispatcher: outgoing.api, log },
    runtime,
  )
  const key = { eventId: 'evt_1', organizationId: `org_${clients++}` }
  return {
    api: client.forEvent(key, call => call(SECRETS.access), { patienceMs: 0 }),
    endpoint: createTokenEndpoint({ ...who, ...where }, outgoing.token, runtime),
  }
}

test('what comes back from the upstream in any way carries no secret: errors, causes and outcomes', {
  timeout: 60_000,
}, async () => {
  const wires = { ...redirects('http://127.0.0.1:9/'), ...refusals('http://x/'), ...nonsense('http://x/') }
  const names = [...Object.keys(wires), ...Object.keys(echoes(''))]
  const counting = await testBudgets()
  const carried = names.map(async name => {
    const { api, endpoint } = clientsOf(await hostile(name, wires), counting)
    const things = await Promise.allSettled([
      api.participants(),
      api.event(),
      endpoint.refresh(SECRETS.refresh, IDS),
      endpoint.exchangeCode(new URLSearchParams({ code: SECRETS.code }), SECRETS.verifier),
    ])
    // An answer that is a row of data is passed on as such.
    const [page, , ...outcomes] = things
    expect([name, page.status, outcomes.map(o => o.status)]).toEqual([
      name,
      'rejected',
      ['fulfilled', 'fulfilled'],
    ])
    return [page, ...outcomes].flatMap(thing => secretsIn(thing).map(secret => `${name}: ${secret}`))
  })
  expect((await Promise.all(carried)).flat()).toEqual([])
  // Nobody there at all.
  const { api, endpoint } = clientsOf({ base: 'http://127.0.0.1:9' }, counting)
  const things = await Promise.allSettled([api.participants(), endpoint.refresh(SECRETS.refresh, IDS)])
  expect(secretsIn(things)).toEqual([])
})

test('a token that cannot be sent, and one that cannot be opened, are in no error', async () => {
  const { base } = await hostileServer(() => http(200, '{}'))
  const outgoing = createOutgoing()
  onTestFinished(() => outgoing.close())
  const log = { info: () => {}, warn: () => {}, error: () => {} }
  const client = createApiClient(
    { ...(await testBudgets()), apiBase: base, dispatcher: outgoing.api, log },
    runtime,
  )
  const key = { eventId: 'evt_1', organizationId: 'org_1' }
  const broken = client.forEvent(key, call => call(`${SECRETS.access}\r\nx: y`), { patienceMs: 0 })
  const [refused] = await Promise.allSettled([broken.participants()])
  expect([refused?.status, secretsIn(refused)]).toEqual(['rejected', []])

  const place = { table: 'connections', row: 'evt_1', column: 'access_token' }
  const sealed = sealerOf(1).seal(SECRETS.access, place)
  const damaged = Buffer.from(sealed).fill(0, 40)
  const openings = [() => sealerOf(2).open(sealed, place), () => sealerOf(1).open(damaged, place)]
  for (const open of openings) {
    const [opened] = await Promise.allSettled([(async () => open())()])
    expect([opened?.status, secretsIn(opened)]).toEqual(['rejected', []])
  }
})
