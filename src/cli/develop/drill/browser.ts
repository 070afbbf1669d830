import { type Dispatcher, request } from 'undici'
import { systemRuntime as runtime } from '../../../process/runtime.ts'

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly ms: number
}

/** Keeps cookies, and follows no redirect by itself. */
export interface Browser {
  get(url: string, headers?: Record<string, string>): Promise<Reply>
  /** An object is sent as JSON, a text as a form of the page that stands there. */
  post(url: string, body: object | string): Promise<Reply>
}

const TIMEOUT_MS = 30_000
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

export function createBrowser(dispatcher: Dispatcher): Browser {
  const cookies = new Map<string, string>()

  async function send(url: string, headers: Record<string, string>, body: string | null): Promise<Reply> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const begun = runtime.monotonic()
    const answer = await request(url, {
      method: body === null ? 'GET' : 'POST',
      body,
      headers: cookie ? { cookie, ...headers } : headers,
      dispatcher,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const text = await answer.body.text()
    for (const line of [answer.headers['set-cookie'] ?? []].flat()) keep(line)
    return { status: answer.statusCode, headers: answer.headers, text, ms: runtime.monotonic() - begun }
  }

  function keep(line: string): void {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    if (/max-age=0|expires=thu, 01 jan 1970/i.test(line)) cookies.delete(name)
    else cookies.set(name, value)
  }

  return {
    get: (url, headers = {}) => send(url, headers, null),
    post: (url, body) =>
      typeof body === 'string'
        ? send(url, { ...FORM, origin: new URL(url).origin }, body)
        : send(url, { 'content-type': 'application/json' }, JSON.stringify(body)),
  }
}
