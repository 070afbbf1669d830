import { request } from 'undici'

export interface Reply {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  /** The parsed body; throws when it is not JSON. */
  json<T = Record<string, unknown>>(): T
}

export interface Client {
  get(url: string, headers?: Record<string, string>): Promise<Reply>
  post(url: string, body: string | Buffer, headers?: Record<string, string>): Promise<Reply>
  /** The cookies by name, as the answers so far have set them. */
  cookies: Map<string, string>
}

/** An HTTP client that keeps cookies like a browser, and follows no redirect by itself. */
export function createClient(): Client {
  const cookies = new Map<string, string>()
  async function send(
    method: 'GET' | 'POST',
    url: string,
    headers: Record<string, string>,
    body: string | Buffer | null,
  ): Promise<Reply> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await request(url, { method, body, headers: cookie ? { cookie, ...headers } : headers })
    const text = await answer.body.text()
    for (const line of [answer.headers['set-cookie'] ?? []].flat()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (/max-age=0|expires=thu, 01 jan 1970/i.test(line)) cookies.delete(name)
      else cookies.set(name, value)
    }
    return { status: answer.statusCode, headers: answer.headers, text, json: () => JSON.parse(text) }
  }
  return {
    cookies,
    get: (url, headers = {}) => send('GET', url, headers, null),
    post: (url, body, headers = {}) => send('POST', url, headers, body),
  }
}

/** Returns the session's cookie. Two copies of the app give its name different prefixes, so only its end is compared. */
export const sessionCookie = ({ cookies }: Pick<Client, 'cookies'>) => {
  const [name = '', value = ''] = [...cookies].find(([known]) => known.endsWith('revento_session')) ?? []
  return { name, value }
}

/** Returns the `state` of the URL to which an answer of /connect redirects. */
export const stateOf = (connect: Reply) =>
  new URL(String(connect.headers['location'])).searchParams.get('state') ?? ''
