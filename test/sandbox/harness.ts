import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { Agent, request } from 'undici'
import { onTestFinished } from 'vitest'
import { createLines } from '../../src/process/logger.ts'
import type { Runtime } from '../../src/process/runtime.ts'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/index.ts'
import { revento } from '../../src/webhooks/providers/revento.ts'

export const EVENT = 'evt_test_published'
export const REDIRECT_URI = 'http://localhost:3000/callback'
const VERIFIER = 'v'.repeat(43)
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url')
export const CLIENT = { client_id: 'app_client', client_secret: 'app_secret' }
export const WEBHOOK_SECRET = 'hook_secret'

/** A clock that stands still until it is moved; a sleep ends when the clock passes its end. */
class TestRuntime implements Runtime {
  #now = Date.parse('2026-12-01T10:00:00Z')
  #sleepers = new Set<{ at: number; wake: () => void }>()
  now = () => this.#now
  monotonic = () => this.#now
  idle = () => 0
  late = () => 0
  bytes = (size: number) => randomBytes(size)
  uuid = () => randomUUID()
  get sleeping() {
    return this.#sleepers.size
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const sleeper = { at: this.#now + ms, wake: resolve }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper)
        reject(signal.reason)
      })
    })
  }
  advance(ms: number) {
    this.#now += ms
    for (const sleeper of this.#sleepers)
      if (sleeper.at <= this.#now && this.#sleepers.delete(sleeper)) sleeper.wake()
  }
}

export interface Started extends Sandbox {
  runtime: TestRuntime
  logLines: string[]
  options: SandboxOptions
}

/** `webhookUrl`: where the one sender's webhooks go. */
export async function start(o: Partial<SandboxOptions> & { webhookUrl?: string } = {}): Promise<Started> {
  const { webhookUrl = 'http://127.0.0.1:9/nobody', ...overrides } = o
  const runtime = new TestRuntime()
  const logLines: string[] = []
  const dispatcher = new Agent()
  const options: SandboxOptions = {
    host: '127.0.0.1',
    port: 0,
    clientId: CLIENT.client_id,
    clientSecret: CLIENT.client_secret,
    redirectUri: REDIRECT_URI,
    senders: [{ provider: revento, secret: WEBHOOK_SECRET, url: webhookUrl }],
    production: false,
    runtime,
    dispatcher,
    log: createLines('trace', line => void logLines.push(line)),
    ...overrides,
  }
  const sandbox = await startSandbox(options)
  onTestFinished(async () => {
    await sandbox.close()
    await dispatcher.destroy()
  })
  return { ...sandbox, runtime, logLines, options }
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  json: Record<string, unknown>
}

export async function call(url: string, init: Parameters<typeof request>[1] = {}): Promise<Answer> {
  const answer = await request(url, init)
  const body = await answer.body.text()
  const isJson = body !== '' && String(answer.headers['content-type']).startsWith('application/json')
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text: body,
    json: isJson ? JSON.parse(body) : {},
  }
}

type Fields = Record<string, string>
const form = (fields: Fields) => ({
  method: 'POST' as const,
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams(fields).toString(),
})

/** A correct authorize link; an undefined override leaves the parameter out. */
export function authorizeUrl({ url }: Sandbox, overrides: Record<string, string | undefined> = {}): string {
  const fields: Record<string, string | undefined> = {
    response_type: 'code',
    client_id: CLIENT.client_id,
    redirect_uri: REDIRECT_URI,
    scope: 'event.read participants.read',
    event_id: EVENT,
    state: 'state-1',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
    ...overrides,
  }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) query.set(name, value)
  return `${url}/oauth/authorize?${query}`
}

export async function consentId(sandbox: Sandbox, overrides?: Record<string, string>): Promise<string> {
  const { text } = await call(authorizeUrl(sandbox, overrides))
  return /name="consent" value="([^"]+)"/.exec(text)?.[1] ?? ''
}

export const decide = ({ url }: Sandbox, consent: string, decision: string) =>
  call(`${url}/oauth/authorize`, form({ consent, decision }))

export const location = ({ headers }: Answer) => new URL(String(headers.location))

export async function code(sandbox: Sandbox, overrides?: Record<string, string>): Promise<string> {
  const answer = await decide(sandbox, await consentId(sandbox, overrides), 'authorize')
  return location(answer).searchParams.get('code') ?? ''
}

export const token = ({ url }: Sandbox, fields: Fields) => call(`${url}/oauth/token`, form(fields))

export const exchange = (sandbox: Sandbox, code: string, overrides: Fields = {}) =>
  token(sandbox, {
    grant_type: 'authorization_code',
    code,
    redirect_uri: REDIRECT_URI,
    code_verifier: VERIFIER,
    ...CLIENT,
    ...overrides,
  })

export const refresh = (sandbox: Sandbox, refresh_token: string) =>
  token(sandbox, { grant_type: 'refresh_token', refresh_token, ...CLIENT })

export interface Tokens {
  access: string
  refresh: string
}
export const tokensOf = ({ json }: Answer): Tokens => {
  return { access: String(json['access_token']), refresh: String(json['refresh_token']) }
}

export async function connect(sandbox: Sandbox, overrides?: Record<string, string>): Promise<Tokens> {
  return tokensOf(await exchange(sandbox, await code(sandbox, overrides)))
}

export const api = ({ url }: Sandbox, access: string, path: string, headers: Record<string, string> = {}) =>
  call(`${url}/api/v1${path}`, { headers: { authorization: `Bearer ${access}`, ...headers } })

export const post = ({ url }: Sandbox, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  call(`${url}${path}`, {
    method: 'POST',
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    body: body === undefined ? null : JSON.stringify(body),
  })

/** Polls until the condition holds; fails after five seconds. */
export async function until<T>(what: () => T | Promise<T>): Promise<NonNullable<T>> {
  const deadline = performance.now() + 5000
  for (;;) {
    const value = await what()
    if (value) return value
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

export interface Received {
  headers: IncomingHttpHeaders
  body: string
}

/** A webhook receiver: answers the given statuses in turn, then 200. */
export async function receiver(...statuses: number[]): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = []
  const server = createServer(async (req, res) => {
    received.push({ headers: req.headers, body: await text(req) })
    res.writeHead(statuses.shift() ?? 200).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, received }
}
