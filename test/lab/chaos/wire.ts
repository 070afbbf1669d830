import { hash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { TOKEN_PATH } from '../../../src/revento/platform.ts'
import { PROBLEMS } from '../../../src/sandbox/api/problem.ts'
import type { Outage, WireFault } from './draws.ts'
import type { TokenCall } from './record.ts'
import { type Answer, EFFECTS, type Effect, OUTAGES } from './wire-faults.ts'

/** What the wires of one run share. */
export interface Wires {
  readonly faults: Map<WireFault, number>
  readonly tokenCalls: TokenCall[]
  readonly most: Map<string, number>
  /** Codes, verifiers and tokens that went over them. */
  readonly secrets: Map<string, string>
  struck: number
  overLimit: number
  /** Trouble at the token endpoint, until a moment (ms). */
  outage: { readonly how: Outage; readonly until: number } | undefined
}

export interface Wire {
  readonly url: string
  close(): Promise<void>
}

/** Between one process of the app and the sandbox: sees everything, and does what the sandbox cannot. */
export async function startWire(o: {
  slot: number
  target: string
  foreign: string
  shared: Wires
}): Promise<Wire> {
  const { shared } = o
  const agent = new Agent({ pipelining: 0 })
  const underWay = new Map<string, number>()
  const server = createServer((incoming, response) => {
    handle(incoming, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      server.close()
      await agent.destroy()
    },
  }

  async function handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(incoming)
    const path = incoming.url ?? '/'
    if (path === TOKEN_PATH) return token(incoming, response, body)
    if (path.startsWith('/api/')) return api(incoming, response)
    await send(response, await forward(incoming, body, response))
  }

  async function token(incoming: IncomingMessage, response: ServerResponse, body: Buffer): Promise<void> {
    const form = new URLSearchParams(body.toString())
    const spent = form.get('refresh_token') ?? form.get('code') ?? ''
    keep('a refresh token or code', spent)
    keep('a code verifier', form.get('code_verifier'))
    const from = Date.now()
    const { outage } = shared
    const effect = outage && from < outage.until ? OUTAGES[outage.how] : strike('token')
    const seen = { processed: !effect?.instead, heard: 'lost' as TokenCall['answer'] }
    try {
      const given = effect?.instead?.(o.foreign) ?? (await forward(incoming, body, response))
      const refused = { processed: false, heard: given.status === 200 ? 'lost' : 'refused' }
      Object.assign(seen, effect?.instead ? refused : judged(given))
      const arrived = await send(response, given, effect)
      // A gateway's 502 says nothing of what happened behind it.
      if (!arrived || effect?.altered) seen.heard = 'lost'
    } catch (error) {
      seen.heard = 'lost'
      throw error
    } finally {
      const grant = form.get('grant_type')
      shared.tokenCalls.push({
        grant: grant === 'refresh_token' || grant === 'authorization_code' ? grant : 'other',
        fingerprint: hash('sha256', spent).slice(0, 12),
        from,
        to: Date.now(),
        processed: seen.processed,
        answer: seen.heard,
      })
    }
  }

  function judged({ status, body }: Answer): { processed: boolean; heard: TokenCall['answer'] } {
    if (status === 200) {
      const { access_token, refresh_token } = JSON.parse(body.toString()) as Record<string, string>
      keep('an access token', access_token)
      keep('a refresh token or code', refresh_token)
      return { processed: true, heard: 'tokens' }
    }
    if (status === 400 && body.includes('"invalid_grant"')) return { processed: true, heard: 'rejected' }
    return { processed: false, heard: 'refused' }
  }

  async function api(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = `${o.slot} ${hash('sha256', incoming.headers.authorization ?? '')}`
    const now = (underWay.get(name) ?? 0) + 1
    underWay.set(name, now)
    shared.most.set(name, Math.max(now, shared.most.get(name) ?? 0))
    response.once('close', () => underWay.set(name, (underWay.get(name) ?? 1) - 1))
    const effect = strike('api')
    const given = effect?.instead?.(o.foreign) ?? (await forward(incoming, undefined, response))
    if (given.status === 429 && given.body.includes(PROBLEMS.rate_limit_exceeded[1])) shared.overLimit += 1
    await send(response, given, effect)
  }

  /** As a proxy does it; whoever asked may go meanwhile. */
  async function forward(
    incoming: IncomingMessage,
    body: Buffer | undefined,
    response: ServerResponse,
  ): Promise<Answer> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const { host: _host, connection: _connection, 'content-length': _length, ...headers } = incoming.headers
    const upstream = await request(o.target + incoming.url, {
      method: incoming.method === 'POST' ? 'POST' : 'GET',
      headers,
      body: incoming.method === 'POST' ? (body ?? null) : null,
      dispatcher: agent,
      signal: gone.signal,
    })
    const received = Buffer.from(await upstream.body.arrayBuffer())
    const {
      connection: _c,
      'keep-alive': _k,
      'transfer-encoding': _t,
      'content-length': _l,
      ...rest
    } = upstream.headers
    return { status: upstream.statusCode, headers: rest, body: received }
  }

  /** True: the app got all of it, in time. */
  async function send(response: ServerResponse, given: Answer, effect: Effect = {}): Promise<boolean> {
    if (effect.holdMs) await delay(effect.holdMs)
    if (response.destroyed) return false
    const { status, headers, body } = effect.altered?.() ?? given
    response.writeHead(status, { ...headers, 'content-length': body.length })
    if (effect.half) {
      response.write(body.subarray(0, body.length / 2), () => response.destroy())
      return false
    }
    response.end(body)
    await once(response, 'close')
    return response.writableFinished && !effect.holdMs
  }

  function strike(door: 'token' | 'api'): Effect | undefined {
    const found = [...shared.faults].find(([name, left]) => left > 0 && name.startsWith(door))
    if (!found) return undefined
    shared.faults.set(found[0], found[1] - 1)
    shared.struck += 1
    return EFFECTS[found[0]]
  }

  function keep(name: string, value: string | null | undefined): void {
    if (value) shared.secrets.set(value, name)
  }
}
