import { request } from 'undici'
import { onTestFinished } from 'vitest'
import type { Client } from './client.ts'
import { until } from './wait.ts'

export interface Stream {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  /** Returns all that has come so far. */
  text(): string
  /** Returns the events of this name that have come so far. */
  events(name: string): { id: string; data: string }[]
  /** Resolves with the first event of this name for which `so` is true. */
  event(name: string, so?: (data: string) => boolean): Promise<{ id: string; data: string }>
  /** Whether the server has ended the stream. */
  ended(): boolean
  close(): void
}

/** Opens a stream of server-sent events with this client's cookies, until the test ends. */
export async function openStream(
  client: Pick<Client, 'cookies'>,
  url: string,
  headers: Record<string, string> = {},
): Promise<Stream> {
  const cookie = [...client.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const gone = new AbortController()
  const answer = await request(url, { headers: { cookie, ...headers }, signal: gone.signal })
  let text = ''
  let ended = false
  answer.body.setEncoding('utf8')
  answer.body.on('data', chunk => (text += chunk))
  answer.body.on('end', () => {
    ended = true
  })
  answer.body.on('error', () => {
    ended = true
  })
  onTestFinished(() => gone.abort())
  const events = (name: string) =>
    text
      .split('\n\n')
      .slice(0, -1)
      .map(
        block => new Map(block.split('\n').map(line => [line.split(': ', 1)[0], line.replace(/^\w*: /, '')])),
      )
      .filter(fields => fields.get('event') === name)
      .map(fields => ({ id: fields.get('id') ?? '', data: fields.get('data') ?? '' }))
  return {
    status: answer.statusCode,
    headers: answer.headers,
    text: () => text,
    events,
    event: (name, so = () => true) => until(() => events(name).find(({ data }) => so(data))),
    ended: () => ended,
    close: () => gone.abort(),
  }
}
