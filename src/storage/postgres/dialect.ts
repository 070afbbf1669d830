import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type QueryResult,
  type RawNode,
  type TransactionSettings,
} from 'kysely'
import type pg from 'pg'
import { StorageError } from '../../process/errors.ts'
import { isRelaxed, storable } from '../sql.ts'
import { isConflict, isLoss, postgresError } from './error.ts'
import type { PostgresPool } from './postgres.ts'

/** Kysely's dialect on a PostgresPool. Kysely's own driver treats a lost connection like a refused statement. */
export class PgDialect implements Dialect {
  readonly #pool: PostgresPool
  constructor(pool: PostgresPool) {
    this.#pool = pool
  }
  createDriver(): Driver {
    return new PgDriver(this.#pool)
  }
  createAdapter() {
    return new PostgresAdapter()
  }
  createQueryCompiler() {
    return new PgQueryCompiler()
  }
  createIntrospector(db: Kysely<unknown>) {
    return new PostgresIntrospector(db)
  }
}

class PgQueryCompiler extends PostgresQueryCompiler {
  /** Runs jsonb_each where `records` says json_each; see storage/sql. */
  protected override visitRaw(node: RawNode): void {
    const [before, after] = node.sqlFragments
    const isRecords = before === 'json_each(' && after === ') as r'
    super.visitRaw(isRecords ? { ...node, sqlFragments: ['jsonb_each(', after] } : node)
  }
}

class PgDriver implements Driver {
  readonly #pool: PostgresPool
  constructor(pool: PostgresPool) {
    this.#pool = pool
  }
  async init(): Promise<void> {}
  async acquireConnection(): Promise<PgConnection> {
    return new PgConnection(this.#pool, await this.#pool.connect())
  }
  beginTransaction(connection: PgConnection, settings: TransactionSettings): Promise<void> {
    return connection.begin(isRelaxed(settings))
  }
  commitTransaction(connection: PgConnection): Promise<void> {
    return connection.commit()
  }
  rollbackTransaction(connection: PgConnection): Promise<void> {
    return connection.rollback()
  }
  async releaseConnection(connection: PgConnection): Promise<void> {
    connection.release()
  }
  destroy(): Promise<void> {
    return this.#pool.end()
  }
}

const TRIES = 3
/** After these errors nothing is left of a transaction that was not being committed. */
const REPEATABLE = ['transaction_conflict', 'database_unreachable']

class PgConnection implements DatabaseConnection {
  readonly #pool: PostgresPool
  #client: pg.PoolClient | undefined
  #lost = false
  #inTransaction = false
  constructor(pool: PostgresPool, client: pg.PoolClient) {
    this.#pool = pool
    this.#client = client
  }

  /** `relaxed`: the server writes its log within 600 ms by itself (three times its wal_writer_delay). */
  async begin(relaxed: boolean): Promise<void> {
    this.#inTransaction = true
    await this.#run(relaxed ? 'begin; set local synchronous_commit = off' : 'begin', [])
  }

  /** Never repeated: if the connection is lost now, the transaction may have been committed. */
  async commit(): Promise<void> {
    this.#inTransaction = false
    const { command } = await this.#run('commit', [])
    if (command === 'ROLLBACK') throw new StorageError('transaction_aborted')
  }

  /** Never throws: it would hide the error that led here. */
  async rollback(): Promise<void> {
    this.#inTransaction = false
    await this.#run('rollback', []).catch(() => {})
  }

  release(): void {
    if (this.#client) this.#pool.release(this.#client, this.#lost)
    this.#client = undefined
  }

  /** Outside a transaction a statement is repeated where the server undid it, or where it only reads. */
  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    for (let tries = 1; ; tries++) {
      try {
        const { command, rowCount, rows } = await this.#run(sql, parameters.map(storable))
        return command === 'SELECT' ? { rows } : { rows, numAffectedRows: BigInt(rowCount ?? 0) }
      } catch (error) {
        const again = isConflict(error) || (isLoss(error) && /^select/i.test(sql))
        if (!again || this.#inTransaction || this.#pool.patient || tries === TRIES) throw error
        if (this.#lost) await this.#reconnect()
      }
    }
  }

  async #run(sql: string, parameters: unknown[]): Promise<pg.QueryResult> {
    if (!this.#client) throw new StorageError('database_unreachable')
    try {
      // The statement is not prepared by name: a plan made without the values costs the server up to five times as much,
      // because it expects many rows from json_each.
      return await this.#client.query(sql, parameters)
    } catch (cause) {
      const error = postgresError(cause)
      if (isLoss(error)) this.#lose()
      if (this.#inTransaction && error instanceof StorageError && REPEATABLE.includes(error.code))
        throw new StorageError(error.code, { cause, repeatable: !this.#pool.patient })
      throw error
    }
  }

  #lose(): void {
    this.#lost = true
    this.#pool.distrust()
  }

  async #reconnect(): Promise<void> {
    this.release()
    this.#client = await this.#pool.connect()
    this.#lost = false
  }

  streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new StorageError('streaming_not_supported')
  }
}
