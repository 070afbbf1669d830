import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Runtime } from '../runtime.ts'
import { StorageError, storageError } from './storage-error.ts'

const BUSY = 5
const BUSY_WAIT_MS = 8_000
/** Longer than any pause between two tries: then it is another lock. */
const BUSY_FORGOTTEN_MS = 500
const CACHED_STATEMENTS = 200

/** One open database file. `run` is for code that prepares its own statements; Kysely uses the same connection. */
export class SqliteFile {
  readonly path: string
  readonly #db: DatabaseSync
  readonly #identity: string
  readonly #readOnly: boolean
  readonly #runtime: Runtime
  readonly #statements = new Map<string, StatementSync>()
  readonly #busy = { since: 0, last: Number.NEGATIVE_INFINITY }

  constructor(path: string, runtime: Runtime, { readOnly = false } = {}) {
    this.path = path
    this.#runtime = runtime
    this.#readOnly = readOnly
    if (!readOnly) createPrivateFile(path)
    // 10 ms: SQLite waits by blocking the event loop, so the long wait is ours, asynchronous (see `patiently`).
    this.#db = new DatabaseSync(path, { readOnly, timeout: 10, enableForeignKeyConstraints: true })
    this.#identity = identityOf(path)
  }

  /** WAL with an fsync per commit: a commit that returned survives a power cut, not only a crash of ours. */
  async configure(): Promise<void> {
    if (this.#readOnly) return
    await this.patiently(() => this.#db.exec('pragma journal_mode=wal'), true)
    this.#db.exec('pragma synchronous=full')
  }

  prepare(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#db.prepare(sql)
    this.#statements.delete(sql)
    this.#statements.set(sql, statement)
    if (this.#statements.size > CACHED_STATEMENTS) {
      const [oldest] = this.#statements.keys()
      if (oldest !== undefined) this.#statements.delete(oldest)
    }
    return statement
  }

  exec(sql: string): void {
    this.#db.exec(sql)
  }

  inTransaction(): boolean {
    return this.#db.isTransaction
  }

  /**
   * SQLite goes on writing to a file that was deleted or replaced, and what it writes is gone after a restart.
   * Refuse instead.
   */
  assertSameFile(): void {
    if (identityOf(this.path) !== this.#identity) throw new StorageError('database_file_replaced')
  }

  /**
   * Repeats while another process holds the lock, without holding up the event loop. The wait is counted from when the
   * lock was first met, so that those who queue behind one that gave up do not wait as long again, one after another;
   * whoever gets the lock (`takesLock`) ends that wait for all.
   */
  async patiently<T>(work: () => T, takesLock: boolean): Promise<T> {
    for (;;) {
      try {
        const result = work()
        if (takesLock) this.#busy.last = Number.NEGATIVE_INFINITY
        return result
      } catch (error) {
        if (!isBusy(error) || this.#busyFor(this.#runtime.monotonic()) > BUSY_WAIT_MS)
          throw storageError(error)
      }
      await this.#runtime.sleep(5 + (this.#runtime.bytes(1)[0] ?? 0) / 10)
    }
  }

  #busyFor(now: number): number {
    if (now - this.#busy.last > BUSY_FORGOTTEN_MS) this.#busy.since = now
    this.#busy.last = now
    return now - this.#busy.since
  }

  /** All or nothing, in one go: nothing is awaited inside, so no other request's statement can join. */
  atomically<T>(work: () => T): Promise<T> {
    return this.patiently(() => {
      this.assertSameFile()
      this.#db.exec('begin immediate')
      try {
        const result = work()
        this.#db.exec('commit')
        return result
      } catch (error) {
        if (this.#db.isTransaction) this.#db.exec('rollback')
        throw error
      }
    }, true)
  }

  close(): void {
    this.#statements.clear()
    if (this.#db.isOpen) this.#db.close()
  }
}

/** Readable by the owner only; SQLite gives its -wal and -shm files the same mode. */
function createPrivateFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
  } catch (error) {
    throw storageError(error)
  }
}

/** The low byte: extended codes, such as a WAL being recovered after a crash, are waited for too. */
function isBusy(error: unknown): boolean {
  const { errcode } = error as { errcode?: number }
  return errcode !== undefined && (errcode & 0xff) === BUSY
}

function identityOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat ? `${stat.dev}:${stat.ino}` : 'missing'
}
