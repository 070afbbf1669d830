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

/** Who listens, and what its page shows already (see `marksOf`). */
export interface Listening {
  readonly session: Session
  readonly selected: string
  readonly marks: readonly string[]
}

export interface Live {
  /** Server-sent events, or undefined when there are too many streams. */
  listen(who: Listening): Readable | undefined
  /** Ends every stream, and takes no more. */
  close(): void
}

/** The store is read once in this time for all who listen here; only while somebody does. */
const EVERY_MS = 1_000
const BEAT_MS = 15_000
/** Storing is tried less often: the trial writes. */
const TROUBLE_EVERY_MS = 10_000
/** A browser opens six connections to a host at most: the rest is for what people click. */
const PER_SESSION = 4
const PER_PROCESS = 200
/** Who reads nothing for this long is not there any more. */
const STALLED_MS = 60_000
/** How long a browser waits before it comes back. */
const RETRY_MS = 3_000

interface Listener extends Listening {
  readonly stream: Readable
  marks: readonly string[]
  wroteAt: number
}

/**
 * The changing parts of each listener's page, sent when they changed. What was sent is named by the event's id, so a
 * browser that comes back, to whichever process, gets only what it has not got.
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

  /** Nothing is queued behind what has not been read yet: the next state makes up for those between. */
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
    listen(who) {
      const same = [...listeners].filter(l => l.session.id === who.session.id)
      if (stopping.signal.aborted || listeners.size >= PER_PROCESS || same.length >= PER_SESSION)
        return undefined
      const stream = new Readable({ read() {} })
      const listener = { ...who, stream, wroteAt: runtime.monotonic() }
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
