import { Readable } from 'node:stream'
import type { Session, Sessions } from '../oauth/sessions.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { look, type Overview, type OverviewOptions, soon } from './overview.ts'
import { marksOf, PART_NAMES, renderParts } from './parts.ts'
import type { Titles } from './titles.ts'

export interface LiveOptions extends OverviewOptions {
  readonly sessions: Pick<Sessions, 'alive'>
  readonly titles: Titles
  readonly requestedScopes: readonly string[]
  readonly log: Pick<Log, 'error'>
}

/** A page that listens, with what it shows already (see `marksOf`). */
export interface Listening {
  readonly session: Session
  readonly selected: string
  readonly marks: readonly string[]
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
/** The test whether the store works is made less often, because it writes. */
const TROUBLE_EVERY_MS = 10_000
/** A browser opens six connections to a host at most: the other two are for what people click. */
const PER_SESSION = 4
const PER_PROCESS = 200
/** A browser that reads nothing for this long is gone. */
const STALLED_MS = 60_000
/** How long a browser waits before it reconnects. */
const RETRY_MS = 3_000

interface Listener extends Listening {
  readonly stream: Readable
  marks: readonly string[]
  wroteAt: number
}

/**
 * Sends each listener the parts of its page that have changed. The id of an event names the state that was sent, so that
 * a browser that reconnects, to whichever process, gets only what it does not have.
 */
export function createLive(o: LiveOptions, runtime: Runtime): Live {
  const listeners = new Set<Listener>()
  const stopping = new AbortController()
  let polling = false
  let trouble: { at: number; code: Promise<string | undefined> } | undefined

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
    const alive = await o.sessions.alive([...new Set([...listeners].map(l => l.session.id))])
    const read = look(o, await soon(runtime, currentTrouble()))
    for (const listener of listeners) {
      const connections = alive.get(listener.session.id)
      if (!connections) end(listener, 'event: end\ndata: the session has ended\n\n')
      else if (isReading(listener)) update(listener, await read(connections))
    }
  }

  function currentTrouble(): Promise<string | undefined> {
    const now = runtime.monotonic()
    if (trouble === undefined || now - trouble.at >= TROUBLE_EVERY_MS)
      trouble = { at: now, code: o.trouble() }
    return trouble.code
  }

  /** A listener gets nothing while it has unread data: a later state makes up for those in between. */
  function isReading(listener: Listener): boolean {
    if (listener.stream.readableLength === 0) return true
    if (runtime.monotonic() - listener.wroteAt > STALLED_MS) listener.stream.destroy()
    return false
  }

  function update(listener: Listener, overview: Overview): void {
    const { titles, requestedScopes } = o
    const { session, selected } = listener
    const parts = renderParts({ ...overview, session, selected, now: runtime.now(), titles, requestedScopes })
    const marks = marksOf(parts)
    const changed = PART_NAMES.filter((_, n) => marks[n] !== listener.marks[n])
    listener.marks = marks
    if (changed.length > 0) {
      const data = JSON.stringify(Object.fromEntries(changed.map(name => [name, parts[name]])))
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
