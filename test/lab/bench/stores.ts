import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'

/** A database of the real program's own, and a look into it beside the program. */
export interface BenchStore {
  /** Settings of the program; SQLite is what it has without any. */
  readonly env: Record<string, string>
  /** One statement, in words that both databases understand. */
  rows(sql: string): Promise<Record<string, unknown>[]>
  /** How much PostgreSQL has written to its log so far; SQLite writes the same file again and again. */
  walBytes(): Promise<number>
  close(): Promise<void>
}

export const countOf = async (store: BenchStore, states: string): Promise<number> =>
  Number((await store.rows(`select count(*) n from outcomes where state in (${states})`))[0]?.['n'])

/** The file that the program makes in this folder. */
export function sqliteStore(folder: string): BenchStore {
  let file: DatabaseSync | undefined
  return {
    env: {},
    async rows(sql) {
      file ??= new DatabaseSync(join(folder, 'bench.db'), { timeout: 5000 })
      return file.prepare(sql).all()
    },
    walBytes: async () => 0,
    async close() {
      file?.close()
    },
  }
}

let made = 0

/** An empty database on this server, dropped when it is closed; the program's way to it may take a while. */
export async function postgresStore(server: string, delayMs = 0): Promise<BenchStore> {
  const name = `revento_bench_${process.pid}_${++made}`
  const admin = new pg.Client(server)
  await admin.connect()
  await admin.query(`create database ${name}`)
  const { href } = Object.assign(new URL(server), { pathname: name })
  const client = new pg.Client(href)
  await client.connect()
  const far = delayMs > 0 ? await delayed(href, delayMs) : undefined
  return {
    env: { DATABASE_URL: far?.url ?? href, ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64') },
    rows: async sql => (await client.query(sql)).rows,
    walBytes: async () => Number((await client.query(`select pg_current_wal_lsn() - '0/0' as n`)).rows[0]?.n),
    async close() {
      far?.close()
      await client.end()
      await admin.query(`drop database ${name} with (force)`)
      await admin.end()
    },
  }
}

/** The same server, whose answers come so much later: a network between the two. */
async function delayed(url: string, ms: number) {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  const proxy = createServer(near => {
    const far = connect({ host: hostname, port: Number(port), noDelay: true })
    near.setNoDelay().pipe(far)
    far.on('data', chunk => void setTimeout(() => near.write(chunk), ms))
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => [near, far].forEach(one => void one.destroy()))
    }
  })
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve))
  const { port: own } = proxy.address() as AddressInfo
  return {
    url: Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(own) }).href,
    close() {
      proxy.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
