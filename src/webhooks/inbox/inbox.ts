import { StorageError } from '../../process/errors.ts'
import type { Runtime } from '../../process/runtime.ts'
import type { Database, Queries } from '../../storage/database.ts'
import { appendTo, appendWithin, type Incoming } from './append.ts'
import type { Backlog } from './backlog.ts'

export interface Inbox {
  /** Resolves with the delivery's own id once it is committed; rejects with a StorageError, and nothing is kept. */
  append(delivery: Incoming): Promise<number>
  /** Adds these to a transaction of the caller's, who calls what it gives once that is committed. */
  appendWithin(trx: Queries, deliveries: readonly Incoming[]): Promise<() => void>
  /** So many wait for their handler that no more are taken. */
  isFull(): boolean
  /** Why the last one could not be stored, until one is or ten seconds have passed: for /ready. */
  trouble(): string | undefined
  /** For how long, in ms, the oldest has waited for its commit; 0 when none does. */
  waitedMs(): number
}

interface Waiting {
  readonly delivery: Incoming
  readonly since: number
  readonly resolve: (id: number) => void
  readonly reject: (error: unknown) => void
}

/** A group is written in one go: bounded, or the event loop would stand still for it. */
const GROUP_BYTES = 4 * 1024 * 1024
const GROUP_ROWS = 500
/** A server works on one group while another is on its way: so many at once, each worth its round trip. */
const LANES = 2
const LANE_ROWS = 16
/** What may wait for its commit while the database is locked; more is refused, and the sender comes again. */
const WAITING_BYTES = 32 * 1024 * 1024

/** Small writes may still go through where a delivery does not: on a disk that is nearly full. */
const TROUBLE_MS = 10_000

/**
 * Group commit: deliveries that arrive while a commit runs go into the next one, so many share one fsync and each is
 * answered after its own commit. Rows are only appended here, see append.ts; which of them are duplicates is
 * resolved in batches before any handler runs (claim.ts), because a unique index on random keys costs as much as the
 * row itself, and the query builder more.
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

  /** Beside another lane a small group would only be one more round trip: that one takes it along. */
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
