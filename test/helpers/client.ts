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
  /** Follows a redirect by hand: one step, with this client's cookies. */
  cookies: Map<string, string>
}

/** Speaks HTTP like a browser that keeps cookies and follows nothing by itself. */
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

/** The cookie of the session: what its name begins with differs between two copies of the app. */
export const sessionCookie = ({ cookies }: Pick<Client, 'cookies'>) => {
  const [name = '', value = ''] = [...cookies].find(([known]) => known.endsWith('revento_session')) ?? []
  return { name, value }
}

/** The state that a /connect answer sent the browser away with. */
export const stateOf = (connect: Reply) =>
  new URL(String(connect.headers['location'])).searchParams.get('state') ?? ''
