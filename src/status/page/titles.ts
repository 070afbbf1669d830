import type { ConnectionKey } from '../../oauth/connections.ts'
import type { Runtime } from '../../process/runtime.ts'
import type { Row } from '../../revento/platform.ts'

/** The titles of events from Revento, kept for a while and in memory only, since a page can do without. */
export interface Titles {
  of(key: ConnectionKey): string | undefined
  /** Calls `ask` where the title is unknown or old. Never fails, and is not waited for. */
  learn(key: ConnectionKey, ask: () => Promise<Row>): Promise<void>
}

const HEARD_FOR_MS = 3_600_000
/** A title costs a call of Revento's limit, so it is not asked for again soon after a failure. */
const FAILED_FOR_MS = 300_000
const KEPT = 1_000

export function createTitles(runtime: Pick<Runtime, 'monotonic'>): Titles {
  const known = new Map<string, { title: string | undefined; askAgainAt: number }>()
  const nameOf = (key: ConnectionKey) => `${key.eventId} ${key.organizationId}`

  function keep(name: string, title: string | undefined, forMs: number): void {
    known.delete(name)
    known.set(name, { title, askAgainAt: runtime.monotonic() + forMs })
    const [oldest] = known.keys()
    if (known.size > KEPT && oldest !== undefined) known.delete(oldest)
  }

  return {
    of: key => known.get(nameOf(key))?.title,
    async learn(key, ask) {
      const name = nameOf(key)
      const before = known.get(name)
      if (before && before.askAgainAt > runtime.monotonic()) return
      keep(name, before?.title, FAILED_FOR_MS)
      const row = await ask().catch(() => undefined)
      if (row) keep(name, titleOf(row) ?? before?.title, HEARD_FOR_MS)
    },
  }
}

/** The guide shows no complete row, so either member may be there. */
function titleOf(row: Row): string | undefined {
  const title = [row['title'], row['name']].find(v => typeof v === 'string' && v.trim() !== '')
  return typeof title === 'string' ? title.slice(0, 200) : undefined
}
