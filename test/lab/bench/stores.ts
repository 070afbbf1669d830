import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'

/** A database of the real program's own, and a look into it beside the program. */
export interface BenchStore {
  /** Settings of the program; SQLite is what it has without any. */
  readonly env: Record<string, string>
  /** One statement, in words that both databases understand. */
  rows(sql: string): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

export const countOf = async (store: BenchStore, states: string): Promise<number> =>
  Number((await store.rows(`select count(*) n from inbox where state in (${states})`))[0]?.['n'])

/** The file that the program makes in this folder. */
export function sqliteStore(folder: string): BenchStore {
  let file: DatabaseSync | undefined
  return {
    env: {},
    async rows(sql) {
      file ??= new DatabaseSync(join(folder, 'bench.db'), { timeout: 5000 })
      return file.prepare(sql).all()
    },
    async close() {
      file?.close()
    },
  }
}

let made = 0

/** An empty database on this server, dropped when it is closed. */
export async function postgresStore(server: string): Promise<BenchStore> {
  const name = `revento_bench_${process.pid}_${++made}`
  const admin = new pg.Client(server)
  await admin.connect()
  await admin.query(`create database ${name}`)
  const { href } = Object.assign(new URL(server), { pathname: name })
  const client = new pg.Client(href)
  await client.connect()
  return {
    env: { DATABASE_URL: href, ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64') },
    rows: async sql => (await client.query(sql)).rows,
    async close() {
      await client.end()
      await admin.query(`drop database ${name} with (force)`)
      await admin.end()
    },
  }
}
