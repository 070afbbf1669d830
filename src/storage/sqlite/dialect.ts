import type { SQLInputValue, StatementSync } from 'node:sqlite'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  type Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteDialect,
  type TransactionSettings,
} from 'kysely'
import { StorageError } from '../../process/errors.ts'
import { isRelaxed, storable } from '../sql.ts'
import type { SqliteFile } from './sqlite.ts'

/** Kysely's dialect on a SqliteFile. The mutex around the single connection is Kysely's own. */
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

/** SQLite runs DDL in transactions, which Kysely's own adapter denies: so each migration is all or nothing. */
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
  /** Must not throw: Kysely has taken its mutex by now and would never release it. */
  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection
  }
  /** Takes the write lock at once: after a read it would fail without waiting, whatever the timeout is. */
  async beginTransaction(_connection: DatabaseConnection, settings: TransactionSettings): Promise<void> {
    await this.#file.patiently(() => this.#file.begin(isRelaxed(settings)), true)
  }
  async commitTransaction(): Promise<void> {
    await this.#file.patiently(() => this.#file.exec('commit'), true)
    this.#file.assertSameFiles()
  }
  /** SQLite rolls back by itself after some errors, such as a full disk; a second rollback would fail. */
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
    if (!this.#file.inTransaction()) return this.#file.patiently(run, !/^select/i.test(query.sql))
    try {
      return run()
    } catch (error) {
      throw this.#file.failed(error)
    }
  }
  #execute<R>({ sql, parameters }: CompiledQuery): QueryResult<R> {
    if (!this.#file.inTransaction()) this.#file.ready()
    const statement = this.#file.prepare(sql)
    if (Array.isArray(parameters[0])) return { rows: [], numAffectedRows: runEach(statement, parameters) }
    const values = parameters.map(storable) as SQLInputValue[]
    const rows = this.#file.all(statement, values)
    if (rows) return { rows: rows as R[] }
    const { changes, lastInsertRowid } = statement.run(...values)
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  }
  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new StorageError('streaming_not_supported')
  }
}

/** Runs a `changeEach`: each of its parameters has the values of one row. */
function runEach(statement: StatementSync, rows: readonly unknown[]): bigint {
  let changed = 0
  for (const row of rows as SQLInputValue[][]) changed += Number(statement.run(...row).changes)
  return BigInt(changed)
}
