import { connect, type Socket } from 'node:net'

/** One answer as it stood on the wire. A header that came twice has two values. */
export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, readonly string[]>>
  readonly text: string
}

export interface Exchange {
  readonly answers: RawAnswer[]
  /** What stood behind the last whole answer. */
  readonly rest: string
  /** False: the app kept the connection, and we ended it. */
  readonly closed: boolean
}

/** Longer than any answer takes here; only an app that has got stuck reaches it. */
const PATIENCE_MS = 15_000

export const open = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => resolve(socket))
    socket.once('error', reject)
  })

/**
 * Writes these bytes as they are, which no HTTP client would, and reads until the app ends the connection or has given
 * `expected` answers. `finishMs`: after so long without a byte it says that nothing more will come, which ends what is
 * incomplete; it would also end what takes longer.
 */
export async function exchange(
  port: number,
  bytes: string | Buffer | readonly (string | Buffer)[],
  expected = Number.POSITIVE_INFINITY,
  finishMs?: number,
): Promise<Exchange> {
  const socket = await open(port)
  let text = ''
  const answered = new Promise<boolean>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`neither answered nor closed: ${text}`)), PATIENCE_MS)
    const end = (closed: boolean) => {
      clearTimeout(late)
      resolve(closed)
    }
    socket.setEncoding('latin1')
    socket.on('data', chunk => {
      text += chunk
      const { answers } = readAnswers(text)
      if (answers.length >= expected || answers.some(isStream)) end(false)
    })
    socket.on('end', () => end(true))
    // A refusal may come while we still write: what it said has been read by then, or is lost.
    socket.on('error', () => end(true))
    socket.on('close', () => end(true))
  })
  for (const part of [bytes].flat() as (string | Buffer)[])
    socket.write(typeof part === 'string' ? Buffer.from(part, 'latin1') : part)
  if (finishMs !== undefined) socket.setTimeout(finishMs, () => socket.end())
  const closed = await answered
  socket.destroy()
  return { ...readAnswers(text, true), closed }
}

/** Reads the whole answers that are there; `ended` says that nothing more will come. */
export function readAnswers(text: string, ended = false): { answers: RawAnswer[]; rest: string } {
  const answers: RawAnswer[] = []
  let rest = text
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    if (!rest.startsWith('HTTP/1.1 ') || end === -1) return { answers, rest }
    const headers = readHeaders(rest.slice(0, end).split('\r\n').slice(1))
    const status = Number(rest.slice(9, 12))
    const body = rest.slice(end + 4)
    const length = lengthOf(headers, body, ended)
    if (length === undefined || body.length < length) return { answers, rest }
    if (status >= 200)
      answers.push({ status, headers, text: Buffer.from(body.slice(0, length), 'latin1').toString() })
    rest = body.slice(length)
  }
}

/** It goes on as long as both sides like. */
const isStream = ({ headers }: Pick<RawAnswer, 'headers'>) =>
  headers['content-type']?.[0] === 'text/event-stream'

/** The answer to HEAD states the length of what it leaves out: then the next one follows, or nothing. */
function lengthOf(headers: RawAnswer['headers'], body: string, ended: boolean): number | undefined {
  if (isStream({ headers })) return body.length
  if (headers['transfer-encoding']) {
    const end = body.indexOf('0\r\n\r\n')
    return end === -1 ? undefined : end + 5
  }
  return (body === '' && ended) || body.startsWith('HTTP/1.1 ')
    ? 0
    : Number(headers['content-length']?.[0] ?? 0)
}

function readHeaders(lines: readonly string[]): RawAnswer['headers'] {
  const headers: Record<string, string[]> = {}
  for (const line of lines) {
    const colon = line.indexOf(': ')
    const name = line.slice(0, colon).toLowerCase()
    headers[name] = [...(headers[name] ?? []), line.slice(colon + 2)]
  }
  return headers
}
