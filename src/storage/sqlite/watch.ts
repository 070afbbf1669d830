import { statSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { StorageError } from '../../process/errors.ts'

/** Of SQLite's log format: a header, then pages with a header each. */
const LOG_HEADER = 32
const FRAME_HEADER = 24
const LOOKS_AT_LOG = 10

interface Seen {
  readonly id: string
  readonly size: number
}

/**
 * SQLite goes on writing to files that were deleted, replaced or cut while it has them open, and what it writes there
 * is gone after a restart. This looks at them instead; three stat(2), about 7 µs. It cannot see bytes that were changed
 * in place.
 */
export class SqliteWatch {
  readonly #path: string
  readonly #link: string | undefined
  readonly #db: DatabaseSync
  #file: Seen
  #others: { log: Seen; index: Seen } | undefined
  #frames: StatementSync | undefined

  /** `link`: the name under which the next start opens the file. */
  constructor(path: string, db: DatabaseSync, link?: string) {
    this.#path = path
    this.#link = link
    this.#db = db
    this.#file = look(path)
  }

  /** Once the log is open. From then on nobody removes it in good faith: whoever closes last does, and we are open. */
  watchLog(): void {
    this.#others = { log: look(`${this.#path}-wal`), index: look(`${this.#path}-shm`) }
  }

  check(): void {
    const file = look(this.#path)
    if (file.id !== this.#file.id || (this.#link && look(this.#link).id !== file.id))
      throw new StorageError('database_file_replaced')
    if (file.size < this.#file.size) this.#readAll(file.size)
    this.#file = file
    if (this.#others) this.#others = this.#checkLog(this.#others)
  }

  #checkLog({ log: before, index: indexBefore }: { log: Seen; index: Seen }) {
    const index = look(`${this.#path}-shm`)
    const log = look(`${this.#path}-wal`)
    // Before anything reads it: it is mapped, and a read beyond its end kills the process (SIGBUS).
    if (index.id === indexBefore.id && index.size < indexBefore.size)
      throw new StorageError('database_log_truncated')
    if (index.id !== indexBefore.id || log.id !== before.id) throw new StorageError('database_log_replaced')
    if (log.size < before.size && this.#isLogCut()) throw new StorageError('database_log_truncated')
    return { log, index }
  }

  /**
   * Somebody's wal_checkpoint(truncate) empties the log too, after which none of it is in use. The size is looked at after
   * what is in use, since a log grows meanwhile; it may also be emptied meanwhile, but not every time. A cut one stays cut.
   */
  #isLogCut(): boolean {
    for (let looks = 0; looks < LOOKS_AT_LOG; looks++) {
      const inUse = this.#logInUse()
      if (look(`${this.#path}-wal`).size >= inUse) return false
    }
    return true
  }

  #logInUse(): number {
    this.#frames ??= this.#db.prepare('pragma wal_checkpoint=noop')
    const frames = Number(this.#frames.get()?.['log'])
    const page = Number(this.#db.prepare('pragma page_size').get()?.['page_size'])
    return frames > 0 ? LOG_HEADER + frames * (FRAME_HEADER + page) : 0
  }

  /** A file that shrank: `vacuum` does that too. Another connection, because this one has pages in its memory. */
  #readAll(size: number): void {
    // Whoever opens an empty file beside a log removes the log.
    if (size === 0) throw new StorageError('not_a_database')
    const fresh = new DatabaseSync(this.#path, { readOnly: true, timeout: 10 })
    try {
      refuseUnlessOk(fresh.prepare(QUICK_CHECK).get())
    } finally {
      fresh.close()
    }
  }
}

/** Of this statement, which reads every page; 1 ms a megabyte where the file is in memory. */
export const QUICK_CHECK = 'pragma quick_check(1)'
export function refuseUnlessOk(row: Readonly<Record<string, unknown>> | undefined): void {
  const verdict = row?.['quick_check']
  if (verdict !== 'ok') throw new StorageError('database_corrupt', { cause: new Error(String(verdict)) })
}

function look(path: string): Seen {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat ? { id: `${stat.dev}:${stat.ino}`, size: stat.size } : { id: 'missing', size: 0 }
}
