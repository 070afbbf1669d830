import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type DatabaseSyncOptions, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { StorageError } from '../../process/errors.ts'
import type { Runtime } from '../../process/runtime.ts'
import { storageError } from '../errors.ts'
import { SqliteWatch } from './watch.ts'

export const IN_MEMORY = ':memory:'
const BUSY = 5
const BUSY_WAIT_MS = 8_000
/** After so long without a try the next busy answer counts as a new lock. */
const BUSY_FORGOTTEN_MS = 500
const CACHED_STATEMENTS = 200
/** After these errors reads may be wrong and writes lost, even if the file is repaired: only a restart helps. */
const BEYOND_REPAIR = ['database_corrupt', 'not_a_database', 'database_log_truncated']

/** A text without case and accents, as people search for it. SQL can call it as `folded(text)`. */
export const folded = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()

interface SqliteFileOptions {
  readonly readOnly?: boolean
  readonly link?: string | undefined
}

function objectOf(columns: readonly string[], values: readonly unknown[]): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  for (let i = 0; i < columns.length; i++) row[columns[i] ?? ''] = values[i]
  return row
}

/** One open database file. Kysely and the code that prepares its own statements share its connection. */
export class SqliteFile {
  readonly path: string
  readonly #db: DatabaseSync
  readonly #watch: SqliteWatch
  readonly #readOnly: boolean
  readonly #runtime: Runtime
  readonly #statements = new Map<string, StatementSync>()
  readonly #columns = new WeakMap<StatementSync, readonly string[]>()
  #broken: StorageError | undefined
  #relaxed = false
  readonly #busy = { since: 0, last: Number.NEGATIVE_INFINITY }

  constructor(path: string, runtime: Runtime, { readOnly = false, link }: SqliteFileOptions = {}) {
    this.path = path
    this.#runtime = runtime
    this.#readOnly = readOnly
    if (!readOnly && path !== IN_MEMORY) createPrivateFile(path)
    // SQLite waits by blocking the event loop, so it waits 10 ms only; `patiently` waits longer without blocking.
    this.#db = openFile(path, { readOnly, timeout: 10, enableForeignKeyConstraints: true })
    this.#db.function('folded', { deterministic: true }, text => folded(String(text)))
    this.#watch = new SqliteWatch(path, this.#db, link)
  }

  /** Sets WAL with an fsync per commit: a finished commit survives a power cut, not only a crash of the process. */
  async configure(): Promise<void> {
    if (this.#readOnly) return
    await this.patiently(() => this.#db.exec('pragma journal_mode=wal'), true)
    this.#db.exec('pragma synchronous=full')
    // SQLite's default cache is 2 MB: with a million deliveries stored, a new one then reads 8.5 pages, here 5.4.
    this.#db.exec('pragma cache_size=-16000')
    // Removed data is overwritten, also where a row moves: it costs 0-2 µs for a stored or changed row of 800 bytes.
    this.#db.exec('pragma secure_delete=on')
    // The first read opens the log, or makes it.
    await this.patiently(() => this.#db.exec('select 1 from sqlite_schema'), false)
    this.#watch.watchLog()
  }

  /** Prepares a statement that is run without reading rows; one that gives rows goes through `all`. */
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

  /** Runs a statement and returns its rows; undefined where it is of a kind that gives none. */
  all(statement: StatementSync, values: readonly SQLInputValue[]): Record<string, unknown>[] | undefined {
    const columns = this.#columns.get(statement) ?? this.#columnsOf(statement)
    if (columns.length === 0) return undefined
    const rows = statement.all(...values)
    return rows.map(row => (Array.isArray(row) ? objectOf(columns, row) : row))
  }

  /** Columns are read once for each statement: ten of them cost 6 µs, more than many statements. */
  #columnsOf(statement: StatementSync): readonly string[] {
    const columns = statement.columns().map(({ name }) => name)
    this.#columns.set(statement, columns)
    // The objects that node:sqlite makes cost more to read than arrays cost to turn into objects. The columns of a `*` may
    // change while the statement is kept, because another process may migrate the file.
    statement.setReturnArrays(!statement.sourceSQL.includes('*'))
    return columns
  }

  exec(sql: string): void {
    this.#db.exec(sql)
  }

  /** Begins a transaction. A `relaxed` commit does not wait for the disk: the next strict commit puts it there. */
  begin(relaxed: boolean): void {
    this.ready(relaxed)
    this.#db.exec('begin immediate')
  }

  /** Called before each statement or transaction, because the setting cannot be changed inside a transaction. */
  ready(relaxed = false): void {
    this.assertSameFiles()
    if (relaxed === this.#relaxed) return
    this.#db.exec(`pragma synchronous=${relaxed ? 'normal' : 'full'}`)
    this.#relaxed = relaxed
  }

  inTransaction(): boolean {
    return this.#db.isTransaction
  }

  /** Called before anything is read or written, and after a commit before it is acknowledged. */
  assertSameFiles(): void {
    if (this.#broken) throw this.#broken
    this.#watch.check()
  }

  /** Turns an error into a StorageError, and remembers one that cannot be mended while the file is open. */
  failed(error: unknown): unknown {
    const known = storageError(error)
    if (known instanceof StorageError && BEYOND_REPAIR.includes(known.code)) this.#broken ??= known
    return known
  }

  /**
   * Repeats `work` while another process has the lock, without blocking the event loop. The wait counts from when the lock
   * was first met, so that callers in a queue share it; a caller that gets the lock (`takesLock`) ends the count for all.
   */
  async patiently<T>(work: () => T, takesLock: boolean): Promise<T> {
    for (;;) {
      try {
        const result = work()
        if (takesLock) this.#busy.last = Number.NEGATIVE_INFINITY
        return result
      } catch (error) {
        if (!isBusy(error) || this.#busyFor(this.#runtime.monotonic()) > BUSY_WAIT_MS)
          throw this.failed(error)
      }
      await this.#runtime.sleep(5 + (this.#runtime.bytes(1)[0] ?? 0) / 10)
    }
  }

  #busyFor(now: number): number {
    if (now - this.#busy.last > BUSY_FORGOTTEN_MS) this.#busy.since = now
    this.#busy.last = now
    return now - this.#busy.since
  }

  /** Runs `work` in a transaction. It awaits nothing inside, so that no statement of another request can join. */
  atomically<T>(work: () => T): Promise<T> {
    return this.patiently(() => {
      this.begin(false)
      try {
        const result = work()
        this.#db.exec('commit')
        this.assertSameFiles()
        return result
      } catch (error) {
        if (this.#db.isTransaction) this.#db.exec('rollback')
        throw error
      }
    }, true)
  }

  /** Closing writes the log into the file and removes it, which must not happen where one of them is damaged. */
  close(): void {
    this.#statements.clear()
    if (this.#broken) return
    if (this.#db.isOpen) this.#db.close()
  }
}

/** The file is readable by its owner only; SQLite gives the -wal and -shm files the same mode. */
function createPrivateFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    closeSync(openSync(path, 'a', 0o600))
    chmodSync(path, 0o600)
  } catch (error) {
    throw storageError(error)
  }
}

function openFile(path: string, options: DatabaseSyncOptions): DatabaseSync {
  try {
    return new DatabaseSync(path, options)
  } catch (error) {
    throw storageError(error)
  }
}

/** The low byte decides, so that extended codes count too, such as a WAL that is recovered after a crash. */
function isBusy(error: unknown): boolean {
  const { errcode } = error as { errcode?: number }
  return errcode !== undefined && (errcode & 0xff) === BUSY
}
