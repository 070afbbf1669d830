import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Log } from '../process/log.ts'
import { atMost, type Runtime } from '../process/runtime.ts'
import { errorBody } from './errors.ts'
import { singleParameters } from './parameters.ts'

/** The changing parts of a page, by name; each stands in an element of its own, `part-NAME`. */
export type Rendered = Readonly<Record<string, string>>

/** A page that listens. `selected` is what it is about, `marks` what it shows already (see `marksOf`). */
export interface Listening {
  readonly session: { readonly id: string; readonly formToken: string }
  readonly selected: string
  readonly marks: readonly string[]
}

export interface LiveOptions<Seen> {
  /** Returns which of these sessions are alive, with what each may see. */
  readonly alive: (ids: readonly string[]) => Promise<ReadonlyMap<string, Seen>>
  /** Begins one look at the store, for any number of pages. */
  readonly look: () => Promise<(seen: Seen, page: Listening) => Promise<Rendered>>
  readonly log: Pick<Log, 'error'>
}

export interface Live {
  /** Returns server-sent events, or undefined when there are too many streams. */
  listen(page: Listening): Readable | undefined
  /** Ends every stream, and opens no more. */
  close(): void
}

/** How often the store is read, once for all listeners, and only while there are any. */
const EVERY_MS = 1_000
const BEAT_MS = 15_000
/** A browser opens six connections to a host at most: the other two are for what people click. */
const PER_SESSION = 4
const PER_PROCESS = 200
/** A browser that reads nothing for this long is gone. */
const STALLED_MS = 60_000
/** How long a browser waits before it reconnects. */
const RETRY_MS = 3_000
const BUSY_S = 10
const MOST_PARTS = 20

interface Listener extends Listening {
  readonly stream: Readable
  marks: readonly string[]
  wroteAt: number
}

/** A mark for the state of each part: a page names those it has, so that only other states are sent to it. */
export const marksOf = (parts: Rendered): string[] =>
  Object.values(parts).map(text => hash('sha256', text, 'base64url').slice(0, 11))

/**
 * Sends each listener the parts of its page that have changed. The id of an event names the state that was sent, so that
 * a browser that reconnects, to whichever process, gets only what it does not have.
 */
export function createLive<Seen>(o: LiveOptions<Seen>, runtime: Runtime): Live {
  const listeners = new Set<Listener>()
  const stopping = new AbortController()
  let polling = false

  async function poll(): Promise<void> {
    if (polling) return
    polling = true
    while (listeners.size > 0 && !stopping.signal.aborted) {
      await runtime.sleep(EVERY_MS, stopping.signal).catch(() => {})
      await tick().catch(err =>
        o.log.error({ part: 'page', err }, 'cannot read what the pages show; trying again'),
      )
    }
    polling = false
  }

  async function tick(): Promise<void> {
    const alive = await o.alive([...new Set([...listeners].map(l => l.session.id))])
    const render = await o.look()
    for (const listener of listeners) {
      const seen = alive.get(listener.session.id)
      if (seen === undefined) end(listener, 'event: end\ndata: the session has ended\n\n')
      else if (isReading(listener)) update(listener, await render(seen, listener))
    }
  }

  /** A listener gets nothing while it has unread data: a later state makes up for those in between. */
  function isReading(listener: Listener): boolean {
    if (listener.stream.readableLength === 0) return true
    if (runtime.monotonic() - listener.wroteAt > STALLED_MS) listener.stream.destroy()
    return false
  }

  function update(listener: Listener, parts: Rendered): void {
    const marks = marksOf(parts)
    const changed = Object.entries(parts).filter((_, n) => marks[n] !== listener.marks[n])
    listener.marks = marks
    if (changed.length > 0) {
      const data = JSON.stringify(Object.fromEntries(changed))
      write(listener, `event: parts\nid: ${marks.join('.')}\ndata: ${data}\n\n`)
    } else if (runtime.monotonic() - listener.wroteAt >= BEAT_MS) write(listener, ': still here\n\n')
  }

  function write(listener: Listener, text: string): void {
    listener.stream.push(text)
    listener.wroteAt = runtime.monotonic()
  }

  function end(listener: Listener, text?: string): void {
    listeners.delete(listener)
    if (text !== undefined) listener.stream.push(text)
    listener.stream.push(null)
  }

  return {
    listen(page) {
      const same = [...listeners].filter(l => l.session.id === page.session.id)
      if (stopping.signal.aborted || listeners.size >= PER_PROCESS || same.length >= PER_SESSION)
        return undefined
      const stream = new Readable({ read() {} })
      const listener = { ...page, stream, wroteAt: runtime.monotonic() }
      listeners.add(listener)
      stream.once('close', () => listeners.delete(listener))
      write(listener, `retry: ${RETRY_MS}\n\n`)
      void poll()
      return stream
    },
    close() {
      stopping.abort()
      for (const listener of listeners) end(listener)
    },
  }
}

/** Answers with the stream of a page. `about` is the parameter that says what the page is about. */
export function sendStream(
  live: Live,
  session: Listening['session'],
  about: string,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const query = singleParameters(request) ?? new URLSearchParams()
  const last = request.headers['last-event-id']
  // What the page shows already; a browser that reconnects says so in Last-Event-ID.
  const marks = (typeof last === 'string' ? last : (query.get('have') ?? '')).split('.').slice(0, MOST_PARTS)
  const stream = live.listen({ session, selected: query.get(about) ?? '', marks })
  reply.header('cache-control', 'no-store')
  if (!stream)
    return reply
      .code(503)
      .header('retry-after', String(BUSY_S))
      .send(errorBody('too_many_streams', request.id))
  // Proxies would buffer the stream without x-accel-buffering, and a kept connection would delay the server's end.
  return reply
    .type('text/event-stream')
    .headers({ 'x-accel-buffering': 'no', connection: 'close' })
    .send(stream)
}

const PATIENCE_MS = 500

/** The code of the trouble if it is known soon: a locked store is tried for seconds, which is too long for a page. */
export async function soon(runtime: Pick<Runtime, 'sleep'>, trouble: Promise<string | undefined>) {
  let code: string | undefined
  await atMost(
    runtime,
    PATIENCE_MS,
    trouble.then(known => {
      code = known
    }),
  )
  return code
}

const TROUBLE_EVERY_MS = 10_000

/** The test whether the store works is made less often than pages are drawn, because it writes. */
export function everyTenSeconds<T>(ask: () => T, runtime: Pick<Runtime, 'monotonic'>): () => T {
  let last: { at: number; answer: T } | undefined
  return () => {
    const now = runtime.monotonic()
    if (last === undefined || now - last.at >= TROUBLE_EVERY_MS) last = { at: now, answer: ask() }
    return last.answer
  }
}
