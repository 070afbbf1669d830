import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

interface UpstreamRequest {
  method: string
  path: string
  query: URLSearchParams
  headers: IncomingMessage['headers']
  form: URLSearchParams
}

export type Answer = (request: UpstreamRequest, response: ServerResponse) => void

/** A Revento on a real socket that answers exactly what the test says, and keeps every request. */
export interface Upstream {
  authBase: string
  apiBase: string
  requests: UpstreamRequest[]
  /** Returns how many requests have no answer yet. */
  unanswered(): number
  tokenRequests(): UpstreamRequest[]
  apiRequests(): UpstreamRequest[]
  /** A test may replace these two at any time. */
  onToken: Answer
  onApi: Answer
  /** Restores the first answers, and forgets the requests. */
  reset(): void
  close(): Promise<void>
}

export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
  }

let issued = 0
/** Returns a token answer as documented. `change` replaces members; undefined removes one. */
export const tokens = (change: Record<string, unknown> = {}) => ({
  access_token: `rev_install_${++issued}`,
  refresh_token: `rev_refresh_${issued}`,
  token_type: 'Bearer',
  expires_in: 3600,
  refresh_expires_in: 7_776_000,
  scope: 'event.read participants.read',
  event_id: 'evt_test_published',
  organization_id: 'org_test_formal',
  ...change,
})

export const emptyPage = { data: [], next_cursor: null, has_more: false }

export async function startUpstream(): Promise<Upstream> {
  let unanswered = 0
  const server = createServer((request, response) => {
    unanswered++
    response.once('close', () => unanswered--)
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk))
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://upstream')
      const seen: UpstreamRequest = {
        method: request.method ?? '',
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        form: new URLSearchParams(Buffer.concat(chunks).toString()),
      }
      upstream.requests.push(seen)
      const answer = seen.path === '/oauth/token' ? upstream.onToken : upstream.onApi
      answer(seen, response)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const upstream: Upstream = {
    authBase: `http://127.0.0.1:${port}`,
    apiBase: `http://127.0.0.1:${port}/api/v1`,
    requests: [],
    unanswered: () => unanswered,
    tokenRequests: () => upstream.requests.filter(r => r.path === '/oauth/token'),
    apiRequests: () => upstream.requests.filter(r => r.path.startsWith('/api/v1')),
    onToken: json(200, tokens()),
    onApi: json(200, emptyPage),
    reset() {
      upstream.requests.length = 0
      upstream.onToken = json(200, tokens())
      upstream.onApi = json(200, emptyPage)
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
  return upstream
}
