import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { type PostgresServer, startPostgres } from '../../helpers/postgres.ts'

/** The database of one run, reached beside the app. */
export interface Store {
  readonly url: string
  isUp(): boolean
  read<T>(sql: string): Promise<T[]>
  write(sql: string): Promise<void>
  /** Another connection keeps everybody from writing for so long. */
  lock(ms: number): Promise<void>
  /** The server dies without a goodbye, and comes back. SQLite has none. */
  crash(downMs: number): Promise<void>
  close(): Promise<void>
}

/** Opens the stores of many runs. */
export interface Stores {
  open(folder: string, name: string): Promise<Store>
  stop(): Promise<void>
}

const PATIENCE_MS = 10_000

export const sqliteStores: Stores = {
  async open(folder) {
    const path = join(folder, 'chaos.db')
    const use = <T>(work: (database: DatabaseSync) => T): T => {
      const database = new DatabaseSync(path, { timeout: PATIENCE_MS })
      try {
        return work(database)
      } finally {
        database.close()
      }
    }
    return {
      url: `sqlite:${path}`,
      isUp: () => true,
      read: async <T>(sql: string) => use(database => database.prepare(sql).all() as T[]),
      write: async sql => use(database => database.exec(sql)),
      async lock(ms) {
        const database = await locked(path)
        await delay(ms)
        database.exec('rollback')
        database.close()
      },
      crash: async () => {},
      close: async () => {},
    }
  },
  stop: async () => {},
}

/** Waits without a busy timeout: that would block this process, which may hold the lock it waits for. */
async function locked(path: string): Promise<DatabaseSync> {
  const database = new DatabaseSync(path, { timeout: 0 })
  for (const giveUpAt = Date.now() + PATIENCE_MS; ; await delay(10)) {
    try {
      database.exec('begin immediate')
      return database
    } catch (error) {
      if (Date.now() > giveUpAt) throw error
    }
  }
}

/** One server for all runs, which go one after the other: each may crash it. */
export async function postgresStores(): Promise<Stores> {
  const server = await startPostgres()
  return { open: (_folder, name) => openPostgres(server, name), stop: () => server.stop() }
}

async function openPostgres(server: PostgresServer, name: string): Promise<Store> {
  let isUp = true
  let mending = Promise.resolve()
  const use = async <T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> => {
    await mending
    const client = new pg.Client(url)
    client.on('error', () => {})
    await client.connect()
    try {
      return await work(client)
    } finally {
      await client.end().catch(() => {})
    }
  }
  await use(server.url, client => client.query(`create database ${name}`))
  const { href: url } = Object.assign(new URL(server.url), { pathname: name })
  async function restart(downMs: number): Promise<void> {
    isUp = false
    await server.crash()
    await delay(downMs)
    await server.start()
    isUp = true
  }
  return {
    url,
    isUp: () => isUp,
    read: <T>(sql: string) => use(url, async client => (await client.query(sql)).rows as T[]),
    write: sql => use(url, async client => void (await client.query(sql))),
    // A crash that comes meanwhile ends the lock too.
    lock: ms =>
      use(url, async client => {
        await client.query('begin')
        await client.query('lock table inbox in access exclusive mode')
        await delay(ms)
        await client.query('rollback')
      }).catch(() => {}),
    crash(downMs) {
      mending = mending.then(() => restart(downMs))
      return mending
    },
    close: () => use(server.url, client => client.query(`drop database ${name} with (force)`)).then(() => {}),
  }
}
