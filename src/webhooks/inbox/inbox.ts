import { StorageError } from '../../process/errors.ts'
import type { Runtime } from '../../process/runtime.ts'
import type { Database, Queries } from '../../storage/database.ts'
import { appendTo, appendWithin, type Incoming } from './append.ts'
import type { Backlog } from './backlog.ts'

export interface Inbox {
  /** Resolves with the delivery's own id once it is committed; rejects with a StorageError, and nothing is kept. */
  append(delivery: Incoming): Promise<number>
  /** Adds deliveries to the caller's transaction, and returns a function for the caller to call after the commit. */
  appendWithin(trx: Queries, deliveries: readonly Incoming[]): Promise<() => void>
  /** Whether so many wait for their handler that no more are accepted. */
  isFull(): boolean
  /** Why the last delivery could not be stored, for /ready, until one is stored or ten seconds have passed. */
  trouble(): string | undefined
  /** How long, in ms, the oldest delivery has waited for its commit; 0 when none waits. */
  waitedMs(): number
}

interface Waiting {
  readonly delivery: Incoming
  readonly since: number
  readonly resolve: (id: number) => void
  readonly reject: (error: unknown) => void
}

/** The bounds of a group: the event loop stands still while it is written. */
const GROUP_BYTES = 4 * 1024 * 1024
const GROUP_ROWS = 500
/** A server writes one group while another is on its way: so many at once, each of so many rows to be worth it. */
const LANES = 2
const LANE_ROWS = 16
/** The bytes that may wait for a commit while the database is locked; further requests are refused, and come again. */
const WAITING_BYTES = 32 * 1024 * 1024

/** A refused delivery counts as trouble for so long: on a nearly full disk small writes may succeed where it does not. */
const TROUBLE_MS = 10_000

/**
 * Group commit: deliveries that arrive while a commit runs go into the next one, so that many share one fsync and each is
 * answered after its own commit. Rows are only appended here; claim.ts finds the duplicates among them in batches, because
 * a unique index on random keys costs as much as the row itself, and the query builder more.
 */
export function createInbox(
  database: Database,
  backlog: Pick<Backlog, 'added' | 'isFull'>,
  onCommitted: () => void,
  runtime: Pick<Runtime, 'monotonic'>,
): Inbox {
  const append = appendTo(database)
  let waiting: Waiting[] = []
  /** The groups that are being committed. */
  const under = new Set<readonly Waiting[]>()
  let waitingBytes = 0
  let lanes = 0
  const mostLanes = database.kind === 'sqlite' ? 1 : LANES
  let failed: { code: string; at: number } | undefined

  /** A small group beside another lane would only cost one more round trip: it waits for the next group. */
  const isWorthALane = (own: 0 | 1) => waiting.length >= (lanes > own ? LANE_ROWS : 1)

  async function commitGroups(): Promise<void> {
    while (isWorthALane(1)) {
      const group = nextGroup(waiting)
      under.add(group)
      waiting = waiting.slice(group.length)
      waitingBytes -= bytesOf(group)
      try {
        const ids = await append(group.map(({ delivery }) => delivery))
        for (const [i, { resolve }] of group.entries()) resolve(ids[i] ?? 0)
        failed = undefined
        backlog.added(group.length)
        onCommitted()
      } catch (error) {
        const code = error instanceof StorageError ? error.code : 'storage_failed'
        failed = { code, at: runtime.monotonic() }
        for (const { reject } of group) reject(error)
      }
      under.delete(group)
    }
    lanes--
  }

  return {
    async appendWithin(trx, deliveries) {
      await appendWithin(trx, deliveries)
      return () => {
        backlog.added(deliveries.length)
        if (deliveries.length > 0) onCommitted()
      }
    },
    isFull: () => backlog.isFull(),
    trouble: () => (failed && runtime.monotonic() - failed.at < TROUBLE_MS ? failed.code : undefined),
    waitedMs() {
      const [oldest] = under
      const first = oldest?.[0] ?? waiting[0]
      return first ? runtime.monotonic() - first.since : 0
    },
    append: delivery =>
      new Promise((resolve, reject) => {
        if (backlog.isFull() || waitingBytes + delivery.body.length > WAITING_BYTES)
          return reject(new StorageError('backlog_full'))
        waiting.push({ delivery, since: runtime.monotonic(), resolve, reject })
        waitingBytes += delivery.body.length
        if (lanes >= mostLanes || !isWorthALane(0)) return
        lanes++
        setImmediate(() => void commitGroups())
      }),
  }
}

const bytesOf = (group: readonly Waiting[]) =>
  group.reduce((sum, { delivery }) => sum + delivery.body.length, 0)

function nextGroup(waiting: readonly Waiting[]): Waiting[] {
  let bytes = 0
  const end = waiting.findIndex(({ delivery }, i) => {
    bytes += delivery.body.length
    return i >= GROUP_ROWS || (i > 0 && bytes > GROUP_BYTES)
  })
  return end === -1 ? [...waiting] : waiting.slice(0, end)
}
