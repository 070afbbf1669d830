import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent } from 'undici'
import { type Browser, createBrowser } from '../../../src/cli/develop/drill/browser.ts'
import { createLines } from '../../../src/process/logger.ts'
import { systemRuntime as runtime } from '../../../src/process/runtime.ts'
import { createOutgoing } from '../../../src/revento/http.ts'
import { startSandbox } from '../../../src/sandbox/index.ts'
import { revento } from '../../../src/webhooks/providers/revento.ts'
import { freePort } from '../../helpers/ports.ts'
import { type Apps, createApps } from './apps.ts'
import { type Clock, createClock } from './clock.ts'
import type { Hook, Sighting, Visit } from './record.ts'
import type { Store } from './stores.ts'
import { startWire, type Wires } from './wire.ts'

/** No process has this address: what comes back from the consent page goes to any of them. */
export const ORIGIN = 'http://app.test'
export const EVENT = 'evt_test_published'

export interface SignedRequest {
  readonly hook: Pick<Hook, 'envelope' | 'type' | 'person' | 'aheadMs'>
  readonly body: Buffer
  readonly headers: Record<string, string>
}

/** One run's stage: Revento lives here, in this process; the app in others, which may die. */
export interface World {
  readonly folder: string
  readonly clock: Clock
  readonly apps: Apps
  readonly store: Store
  readonly agent: Agent
  readonly browser: Browser
  readonly wires: Wires
  readonly webhookSecret: string
  readonly sandboxUrl: string
  /** Honest webhooks so far, for those that come again. */
  readonly honest: SignedRequest[]
  readonly hooks: Hook[]
  readonly visits: Visit[]
  readonly commands: Sighting['commands'][number][]
  /** Bodies of the app's answers. */
  readonly answers: string[]
  readonly foreign: string[]
  /** Where no secret may stand, by what it is called. */
  readonly secrets: Map<string, string>
  /** The sandbox's console: POST with fields, GET without. */
  console<T>(path: string, fields?: object): Promise<T>
  command: { env: Record<string, string> }
  close(): Promise<void>
}

const secret = () => randomBytes(24).toString('base64url')

export async function openWorld(folder: string, store: Store): Promise<World> {
  mkdirSync(folder, { recursive: true })
  const ports = [await freePort(), await freePort()]
  const credentials = { clientSecret: secret(), webhookSecret: secret(), key: randomBytes(32) }
  const [agent, outgoing] = [new Agent({ pipelining: 0 }), createOutgoing()]
  const foreign = await startForeign()
  const sandbox = await startSandbox({
    host: '127.0.0.1',
    port: 0,
    clientId: 'chaos',
    clientSecret: credentials.clientSecret,
    redirectUri: `${ORIGIN}/callback`,
    senders: [
      {
        provider: revento,
        secret: credentials.webhookSecret,
        url: `http://127.0.0.1:${ports[0]}/webhooks/revento`,
      },
    ],
    production: false,
    runtime,
    dispatcher: outgoing.api,
    log: createLines('silent', () => {}),
    // So that calls meet each other.
    apiDelayMs: 100,
  })
  const shared: Wires = {
    faults: new Map(),
    tokenCalls: [],
    most: new Map(),
    secrets: new Map(),
    struck: 0,
    overLimit: 0,
    outage: undefined,
  }
  const wires = await Promise.all(
    [0, 1].map(slot => startWire({ slot, target: sandbox.url, foreign: foreign.url, shared })),
  )
  const command = {
    REVENTO_CLIENT_ID: 'chaos',
    REVENTO_CLIENT_SECRET: credentials.clientSecret,
    REVENTO_WEBHOOK_SECRET: credentials.webhookSecret,
    REVENTO_REDIRECT_URI: `${ORIGIN}/callback`,
    DATABASE_URL: store.url,
    ENCRYPTION_KEY: credentials.key.toString('base64'),
    REVENTO_AUTH_BASE: sandbox.url,
    REVENTO_API_BASE: `${sandbox.url}/api/v1`,
    SYNC_EVERY_HOURS: '24',
  }
  const env = (slot: number) => ({
    ...command,
    PORT: String(ports[slot]),
    REVENTO_AUTH_BASE: wires[slot]?.url ?? '',
    REVENTO_API_BASE: `${wires[slot]?.url}/api/v1`,
    LOG_LEVEL: 'trace',
  })
  const browser = createBrowser(agent)
  return {
    folder,
    clock: createClock(folder),
    apps: createApps({ folder, ports, env, storeIsUp: store.isUp }),
    store,
    agent,
    browser,
    wires: shared,
    webhookSecret: credentials.webhookSecret,
    sandboxUrl: sandbox.url,
    honest: [],
    hooks: [],
    visits: [],
    commands: [],
    answers: [],
    foreign: foreign.requests,
    secrets: new Map([
      [credentials.clientSecret, 'the client secret'],
      [credentials.webhookSecret, 'the webhook secret'],
      [command.ENCRYPTION_KEY, 'the encryption key'],
      [credentials.key.toString('hex'), 'the encryption key in hex'],
    ]),
    async console<T>(path: string, fields?: object): Promise<T> {
      const url = `${sandbox.url}/console/api${path}`
      const { status, text } = await (fields ? browser.post(url, fields) : browser.get(url))
      if (status > 299) throw new Error(`the sandbox's console answered ${status} to ${path}: ${text}`)
      return JSON.parse(text) as T
    },
    command: { env: command },
    async close() {
      await Promise.all([...wires.map(wire => wire.close()), sandbox.close(), foreign.close()])
      await Promise.all([agent.destroy(), outgoing.close()])
    },
  }
}

/** A host that is not Revento's: nothing may come here. */
async function startForeign() {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    response.end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    server.closeAllConnections()
    server.close()
  }
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, requests, close }
}

/** Short and the same for the same text, for ids in a record. */
export const fingerprint = (text: string) => hash('sha256', text).slice(0, 12)
