import pg from 'pg'
import { StorageError } from '../../process/errors.ts'
import type { Runtime } from '../../process/runtime.ts'
import { isLoss, postgresError } from './error.ts'

/** A sender waits ten seconds: these limits together have to end before. */
const CONNECT_MS = 3_000
const STATEMENT_MS = 4_000
/** This limit is for a server that does not answer at all; otherwise the server's own limit ends a statement first. */
const ANSWER_MS = 4_500
const IDLE_IN_TRANSACTION_MS = 10_000
/** A connection that was not used for this long is tested before its next use. */
const IDLE_MS = 1_000
const MOST = 10

export interface PoolOptions {
  /** Without time limits, for migrations and copies. */
  readonly patient?: boolean
  readonly connections?: number | undefined
}

/** The settings of a connection: commits wait for the disk. A statement sets them, as poolers refuse unknown settings. */
const SETTINGS = `set statement_timeout = ${STATEMENT_MS};
  set idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_MS}; set synchronous_commit = on`
const PATIENT_SETTINGS = 'set statement_timeout = 0; set synchronous_commit = on'
const PING = { text: 'select 1', query_timeout: 1_000 }

/** The connections to one PostgreSQL. */
export class PostgresPool {
  readonly patient: boolean
  readonly #most: number
  readonly #pool: pg.Pool
  readonly #runtime: Pick<Runtime, 'monotonic'>
  readonly #connections = new WeakMap<pg.PoolClient, { since: number; usedAt: number }>()
  /** Connections from before this moment are not trusted, because one of them was lost. */
  #trustedSince = Number.NEGATIVE_INFINITY

  constructor(
    url: string,
    runtime: Pick<Runtime, 'monotonic'>,
    { patient = false, connections = MOST }: PoolOptions = {},
  ) {
    this.patient = patient
    this.#most = patient ? 2 : connections
    this.#runtime = runtime
    this.#pool = new pg.Pool({
      connectionString: url,
      max: this.#most,
      connectionTimeoutMillis: CONNECT_MS,
      ...(patient ? {} : { query_timeout: ANSWER_MS }),
      application_name: 'revento-starter',
      keepAlive: true,
      types: { getTypeParser },
      onConnect: client => client.query(patient ? PATIENT_SETTINGS : SETTINGS),
    })
    // Without listeners a restart of the server would end this process. The next statement reports the trouble.
    this.#pool.on('error', () => {})
    this.#pool.on('connect', client => {
      client.on('error', () => {})
      const now = runtime.monotonic()
      this.#connections.set(client, { since: now, usedAt: now })
    })
  }

  /** Returns a connection that answers; give it back with `release`. */
  async connect(): Promise<pg.PoolClient> {
    for (;;) {
      const client = await this.#take()
      if (await this.#stands(client)) return client
      client.release(true)
    }
  }

  async #take(): Promise<pg.PoolClient> {
    try {
      return await this.#pool.connect()
    } catch (error) {
      const allInUse = this.#pool.totalCount >= this.#most && this.#pool.idleCount === 0
      throw allInUse ? new StorageError('database_busy', { cause: error }) : postgresError(error)
    }
  }

  release(client: pg.PoolClient, lost: boolean): void {
    const connection = this.#connections.get(client)
    if (connection) connection.usedAt = this.#runtime.monotonic()
    client.release(lost)
  }

  /** Called after a loss, which the other connections may share. */
  distrust(): void {
    this.#trustedSince = this.#runtime.monotonic()
  }

  end(): Promise<void> {
    return this.#pool.end()
  }

  async #stands(client: pg.PoolClient): Promise<boolean> {
    const connection = this.#connections.get(client)
    if (!connection || connection.since < this.#trustedSince) return false
    if (this.#runtime.monotonic() - connection.usedAt < IDLE_MS) return true
    try {
      await client.query(PING)
      return true
    } catch (error) {
      if (isLoss(postgresError(error))) this.distrust()
      return false
    }
  }
}

/** Reads a bigint as a number, as SQLite does: every value here is below 2^53. */
function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === pg.types.builtins.INT8) return Number
  return format === 'binary' ? pg.types.getTypeParser(oid, format) : pg.types.getTypeParser(oid, 'text')
}
