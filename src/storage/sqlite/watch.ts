import { statSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { StorageError } from '../../process/errors.ts'

/** The format of SQLite's log: a header, then pages with a header each. */
const LOG_HEADER = 32
const FRAME_HEADER = 24
const LOOKS_AT_LOG = 10

interface Seen {
  readonly id: string
  readonly size: number
}

/**
 * Notices files that were deleted, replaced or cut while SQLite has them open: what it writes to them would be gone after a
 * restart. A check takes three stat(2), about 7 µs. It does not notice bytes that were changed in place.
 */
export class SqliteWatch {
  readonly #path: string
  readonly #link: string | undefined
  readonly #db: DatabaseSync
  #file: Seen
  #others: { log: Seen; index: Seen } | undefined
  #frames: StatementSync | undefined

  /** `link` is the name under which the next start opens the file. */
  constructor(path: string, db: DatabaseSync, link?: string) {
    this.#path = path
    this.#link = link
    this.#db = db
    this.#file = look(path)
  }

  /** Called once the log is open. SQLite removes it only with its last connection, and this one stays open. */
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
    // Checked before anything reads the index: it is mapped, and a read beyond its end kills the process (SIGBUS).
    if (index.id === indexBefore.id && index.size < indexBefore.size)
      throw new StorageError('database_log_truncated')
    if (index.id !== indexBefore.id || log.id !== before.id) throw new StorageError('database_log_replaced')
    if (log.size < before.size && this.#isLogCut()) throw new StorageError('database_log_truncated')
    return { log, index }
  }

  /**
   * A wal_checkpoint(truncate) of another connection also shortens the log, after which none of it is in use. The size is
   * read after the part in use, since a log grows meanwhile. It may also be emptied in between, but not ten times in a
   * row, while a log that was cut stays cut.
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

  /** Checks a file that shrank, which `vacuum` causes too, by a new connection: this one has pages in its memory. */
  #readAll(size: number): void {
    // SQLite would remove the log beside an empty file if it opened that file.
    if (size === 0) throw new StorageError('not_a_database')
    const fresh = new DatabaseSync(this.#path, { readOnly: true, timeout: 10 })
    try {
      refuseUnlessOk(fresh.prepare(QUICK_CHECK).get())
    } finally {
      fresh.close()
    }
  }
}

/** Reads every page; takes 1 ms a megabyte where the file is in memory. */
export const QUICK_CHECK = 'pragma quick_check(1)'
export function refuseUnlessOk(row: Readonly<Record<string, unknown>> | undefined): void {
  const verdict = row?.['quick_check']
  if (verdict !== 'ok') throw new StorageError('database_corrupt', { cause: new Error(String(verdict)) })
}

function look(path: string): Seen {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat ? { id: `${stat.dev}:${stat.ino}`, size: stat.size } : { id: 'missing', size: 0 }
}
