import type { Database } from '../storage/database.ts'
import type { SqliteFile } from '../storage/sqlite.ts'
import type { Envelope } from './provider.ts'

/** A verified delivery on its way in. `receivedAt` in milliseconds since 1970; `body` exactly as signed. */
export interface Incoming {
  readonly provider: string
  /** Lower case; null where the sender gave none. Unsigned. */
  readonly deliveryId: string | null
  readonly envelope: Envelope
  readonly receivedAt: number
  readonly body: Uint8Array
}

export interface Inbox {
  /** Resolves with the delivery's own id once it is committed; rejects with a StorageError, and nothing is kept. */
  append(delivery: Incoming): Promise<number>
}

interface Waiting {
  readonly delivery: Incoming
  readonly resolve: (id: number) => void
  readonly reject: (error: unknown) => void
}

const MAX_GROUP = 500

const INSERT = `insert into inbox
  (provider, delivery_id, envelope_id, type, event_id, organization_id, state, attempts, next_at, received_at, body)
  values (?, ?, ?, ?, ?, ?, 'pending', 0, ?, ?, ?)`

/**
 * Group commit: deliveries that arrive while a commit runs go into the next one, so many share one fsync and each is
 * answered after its own commit. Rows are only appended here, by prepared statement; which of them are duplicates is
 * resolved in batches before any handler runs (claim.ts), because a unique index on random keys costs as much as the
 * row itself, and the query builder more.
 */
export function createInbox(database: Database, onCommitted: () => void): Inbox {
  let waiting: Waiting[] = []
  let committing = false

  async function commitGroups(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting.slice(0, MAX_GROUP)
      waiting = waiting.slice(MAX_GROUP)
      try {
        const ids = await database.exclusively(file => group.map(({ delivery }) => insert(file, delivery)))
        for (const [i, { resolve }] of group.entries()) resolve(ids[i] ?? 0)
        onCommitted()
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    committing = false
  }

  return {
    append: delivery =>
      new Promise((resolve, reject) => {
        waiting.push({ delivery, resolve, reject })
        if (committing) return
        committing = true
        setImmediate(() => void commitGroups())
      }),
  }
}

function insert(file: SqliteFile, d: Incoming): number {
  const { id, type, eventId, organizationId } = d.envelope
  const { lastInsertRowid } = file
    .prepare(INSERT)
    .run(d.provider, d.deliveryId, id, type, eventId, organizationId, d.receivedAt, d.receivedAt, d.body)
  return Number(lastInsertRowid)
}
