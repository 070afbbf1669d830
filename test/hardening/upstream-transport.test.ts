import { createServer, type Server as HttpsServer } from 'node:https'
import { createServer as createNetServer, type Socket } from 'node:net'
import type tls from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createApiClient } from '../../src/revento/api.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { createTokenEndpoint } from '../../src/revento/token-endpoint.ts'
import { testBudgets } from '../helpers/budgets.ts'
import { createClient, stateOf } from '../helpers/client.ts'
import { freePort } from '../helpers/ports.ts'
import { startProgram } from '../helpers/program.ts'
import { trust } from '../helpers/tls-proxy.ts'
import { emptyPage, tokens } from '../helpers/upstream.ts'
import { authority, type Identity } from './certificates.ts'
import { hostileServer } from './hostile-server.ts'
import { stored } from './upstream-stage.ts'
import { http } from './upstream-wires.ts'

interface Secure {
  readonly port: number
  readonly https: HttpsServer
  /** Paths of the requests that came through. */
  readonly heard: string[]
}

/** `front` takes the bare socket first: it may hand it on to TLS, or do something else with it. */
async function secureServer(
  identity: Identity & tls.SecureContextOptions,
  answer: (path: string) => string,
  front: (socket: Socket, https: HttpsServer) => void = (socket, https) => https.emit('connection', socket),
): Promise<Secure> {
  const heard: string[] = []
  const https = createServer(identity, (request, response) => {
    heard.push(request.url ?? '')
    request.resume().on('end', () => response.end(answer(request.url ?? '')))
  })
  const open = new Set<Socket>()
  const server = createNetServer(socket => {
    open.add(socket)
    socket.on('error', () => {})
    front(socket, https)
  })
  const port = await freePort()
  await new Promise<void>(resolve => server.listen(port, resolve))
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { port, https, heard }
}

function tokenEndpoint(port: number) {
  const outgoing = createOutgoing()
  onTestFinished(() => outgoing.close())
  const client = { clientId: 'c', clientSecret: 's', redirectUri: 'https://a.example/callback', scopes: 'x' }
  return createTokenEndpoint({ authBase: `https://localhost:${port}`, ...client }, outgoing.token, runtime)
}

/** In this process, for one test; as NODE_EXTRA_CA_CERTS does at a start. */
const aPair = () => JSON.stringify(tokens())

test('a token goes to nobody without a trusted certificate, and counts as not sent', async () => {
  const [known, unknown] = [authority(), authority()]
  trust(known.cert)
  const good = known.issue('localhost')
  const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  const plain = `HTTP/1.1 200 OK\r\nContent-Length: ${aPair().length}\r\n\r\n${aPair()}`
  const rows: [string, Promise<Secure>, string][] = [
    [
      'an authority that nobody knows',
      secureServer(unknown.issue('localhost'), aPair),
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
    ['no authority', secureServer(unknown, aPair), 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['a date that has passed', secureServer(known.issue('localhost', 0), aPair), 'CERT_HAS_EXPIRED'],
    ['another host', secureServer(known.issue('other.example'), aPair), 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['TLS 1.1 at most', secureServer({ ...good, ...old }, aPair), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION'],
    ['no TLS at all', secureServer(good, aPair, socket => socket.end(plain)), 'ERR_SSL_WRONG_VERSION_NUMBER'],
    ['a reset in the handshake', secureServer(good, aPair, socket => socket.resetAndDestroy()), 'ECONNRESET'],
    ['silence in the handshake', secureServer(good, aPair, () => {}), 'UND_ERR_CONNECT_TIMEOUT'],
  ]
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  onTestFinished(() => void delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'])
  const outcomes = rows.map(async ([name, starting, detail]) => {
    const { port, heard } = await starting
    const outcome = await tokenEndpoint(port).refresh('refresh-1', IDS)
    const timeout = detail === 'UND_ERR_CONNECT_TIMEOUT'
    expect([name, outcome, heard]).toEqual([name, { kind: 'transient', detail, timeout }, []])
  })
  await Promise.all(outcomes)
  const { port, heard } = await secureServer(good, aPair)
  expect((await tokenEndpoint(port).refresh('refresh-1', IDS)).kind).toBe('tokens')
  expect(heard).toEqual(['/oauth/token'])
})

const IDS = { eventId: 'evt_1', organizationId: 'org_1' }

test('HTTP/2 is not spoken: a token request has a connection of its own', async () => {
  const known = authority()
  trust(known.cert)
  const offered: unknown[] = []
  const withBoth = {
    ALPNCallback: ({ protocols }: { protocols: string[] }) => {
      offered.push(protocols)
      return 'http/1.1'
    },
  }
  const { port } = await secureServer({ ...known.issue('localhost'), ...withBoth }, aPair)
  expect((await tokenEndpoint(port).refresh('refresh-1', IDS)).kind).toBe('tokens')
  expect(offered).toEqual([['http/1.1']])
})

test.for([0, 1, 5])('a second answer, %i ms after the first, answers nobody', async ms => {
  const page = (id: string) => JSON.stringify({ ...emptyPage, data: [{ id }] })
  const server = await hostileServer(({ path }) => socket => {
    http(200, page(path.split('/')[4] ?? ''))(socket)
    const more = () => http(200, page('evt_of_somebody_else'))(socket)
    if (ms === 0) more()
    else setTimeout(more, ms)
  })
  const outgoing = createOutgoing()
  onTestFinished(() => outgoing.close())
  const log = { info: () => {}, warn: () => {}, error: () => {} }
  const client = createApiClient(
    { ...(await testBudgets()), apiBase: `${server.base}/api/v1`, dispatcher: outgoing.api, log },
    runtime,
  )
  for (let n = 0; n < 20; n++) {
    const key = { eventId: `evt_${n}`, organizationId: 'org_1' }
    const api = client.forEvent(key, call => call('token-1'), { patienceMs: 2_000 })
    expect((await api.participants()).data).toEqual([{ id: `evt_${n}` }])
  }
  expect(server.connections()).toBe(20)
})

test('the real program: proxies of the environment hear nothing; a certificate that goes bad costs no connection', {
  timeout: 60_000,
}, async () => {
  const [known, unknown] = [authority(), authority()]
  const good = known.issue('localhost')
  const proxy = await hostileServer(() => http(200, '{}'))
  const access: { expired: boolean } = { expired: false }
  const auth = await secureServer(good, () => {
    access.expired = false
    return aPair()
  })
  const api = await secureServer(good, () => '')
  api.https.removeAllListeners('request').on('request', (request, response) => {
    api.heard.push(request.url ?? '')
    response
      .writeHead(access.expired ? 401 : 200)
      .end(access.expired ? '{"error":"token_expired"}' : JSON.stringify(emptyPage))
  })
  const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY']
  const proxies = names.flatMap(name => [name, name.toLowerCase()]).map(name => [name, proxy.base])
  const program = await startProgram({
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: 'client-secret-for-tests',
    REVENTO_WEBHOOK_SECRET: 'whsec_test_0123456789abcdef',
    REVENTO_AUTH_BASE: `https://localhost:${auth.port}`,
    REVENTO_API_BASE: `https://localhost:${api.port}/api/v1`,
    NODE_EXTRA_CA_CERTS: known.file,
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
    NODE_USE_ENV_PROXY: '1',
    NO_PROXY: '',
    ...Object.fromEntries(proxies),
  })
  onTestFinished(async () => void (await program.stop()))

  const client = createClient()
  const state = stateOf(await client.get(`${program.url}/connect?event_id=evt_test_published`))
  expect((await client.get(`${program.url}/callback?code=c&state=${state}`)).status).toBe(200)
  expect([auth.heard, api.heard.length]).toEqual([['/oauth/token'], 1])

  const participants = () => client.get(`${program.url}/participants?event_id=evt_test_published`)
  access.expired = true
  auth.https.setSecureContext(unknown.issue('localhost'))
  expect((await participants()).json()).toMatchObject({ error: 'upstream_error' })
  expect(stored({ program }, 'evt_test_published')).toMatchObject({
    state: 'connected',
    refresh_phase: 'idle',
  })
  expect(auth.heard).toHaveLength(1)
  expect(program.output.out).toContain('"detail":"UNABLE_TO_VERIFY_LEAF_SIGNATURE"')

  auth.https.setSecureContext(good)
  expect((await participants()).status).toBe(200)
  expect(auth.heard).toHaveLength(2)
  expect(proxy.connections()).toBe(0)
})
