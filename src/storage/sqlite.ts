import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteDialect,
} from 'kysely'
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
    await this.patiently(() => this.#db.exec('pragma journal_mode=wal'))
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
   * lock was first met, so that those who queue behind one that gave up do not wait as long again, one after another.
   */
  async patiently<T>(work: () => T): Promise<T> {
    for (;;) {
      try {
        return work()
      } catch (error) {
        if (!isBusy(error) || this.#busyFor(this.#runtime.now()) > BUSY_WAIT_MS) throw storageError(error)
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
    })
  }

  close(): void {
    this.#statements.clear()
    if (this.#db.isOpen) this.#db.close()
  }
}

/** Kysely's dialect on that file. The mutex around the single connection is Kysely's own. */
export class NodeSqliteDialect extends SqliteDialect {
  readonly #file: SqliteFile
  constructor(file: SqliteFile) {
    super({ database: () => Promise.reject(new StorageError('database_closed')) })
    this.#file = file
  }
  override createDriver(): Driver {
    return new NodeSqliteDriver(this.#file)
  }
  override createAdapter() {
    return new TransactionalDdlAdapter()
  }
}

/** True of SQLite, though Kysely's stock adapter says no; makes each migration all-or-nothing. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl() {
    return true
  }
  override async acquireMigrationLock(_db: Kysely<unknown>): Promise<void> {}
}

class NodeSqliteDriver implements Driver {
  readonly #file: SqliteFile
  readonly #connection: DatabaseConnection
  constructor(file: SqliteFile) {
    this.#file = file
    this.#connection = new NodeSqliteConnection(file)
  }
  init(): Promise<void> {
    return this.#file.configure()
  }
  /** Must not throw: Kysely holds its mutex by now and would never give it back. */
  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection
  }
  /** Immediate: taking the write lock later, after a read, fails at once whatever the timeout. */
  async beginTransaction(): Promise<void> {
    await this.#file.patiently(() => {
      this.#file.assertSameFile()
      this.#file.exec('begin immediate')
    })
  }
  async commitTransaction(): Promise<void> {
    await this.#file.patiently(() => this.#file.exec('commit'))
  }
  /** SQLite has rolled back by itself after some errors (a full disk, say); a second rollback would fail. */
  async rollbackTransaction(): Promise<void> {
    if (this.#file.inTransaction()) this.#file.exec('rollback')
  }
  async releaseConnection(): Promise<void> {}
  async destroy(): Promise<void> {
    this.#file.close()
  }
}

class NodeSqliteConnection implements DatabaseConnection {
  readonly #file: SqliteFile
  constructor(file: SqliteFile) {
    this.#file = file
  }
  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const run = () => this.#execute<R>(query)
    if (!this.#file.inTransaction()) return this.#file.patiently(run)
    try {
      return run()
    } catch (error) {
      throw storageError(error)
    }
  }
  #execute<R>({ sql, parameters }: CompiledQuery): QueryResult<R> {
    if (!this.#file.inTransaction()) this.#file.assertSameFile()
    const statement = this.#file.prepare(sql)
    const values = parameters as readonly SQLInputValue[]
    if (statement.columns().length > 0) return { rows: statement.all(...values) as R[] }
    const { changes, lastInsertRowid } = statement.run(...values)
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  }
  // biome-ignore lint/correctness/useYield: the interface asks for a generator; nothing here streams
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new StorageError('streaming_not_supported')
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
