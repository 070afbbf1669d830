import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createSealer } from '../../src/keys/sealing.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { createSignIns } from '../../src/oauth/sign-ins.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import type { Database } from '../../src/storage/database.ts'
import { GRANT_TABLES } from '../../src/storage/grants.ts'
import { openDatabase } from '../../src/storage/open.ts'
import type { GrantKind } from '../../src/storage/schema.ts'
import { type NewStore, newStore } from '../helpers/database.ts'
import { elapse } from '../helpers/elapse.ts'
import { type Platform, startPlatform } from '../helpers/platform.ts'
import { rounds } from '../helpers/rounds.ts'
import { until } from '../helpers/wait.ts'

const WORKER = fileURLToPath(new URL('../helpers/refresh-worker.ts', import.meta.url))
const key = { eventId: 'evt_test_published', organizationId: 'org_test_formal' }
const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)

let made: NewStore
let database: Database
let platform: Platform
/** All that run; and those of them that the next test may take. */
const workers = new Set<Worker>()
const idle: Worker[] = []
let requestsBefore = 0

beforeAll(async () => {
  made = await newStore()
  database = await openDatabase(made.store, runtime)
  platform = await startPlatform({ tokenDelayMs: 40 })
})
beforeEach(async () => {
  for (const table of GRANT_TABLES) await database.query.deleteFrom(table).execute()
  requestsBefore = platform.upstream.tokenRequests().length
  idle.splice(0, idle.length, ...workers)
})
afterAll(async () => {
  for (const worker of workers) worker.child.kill('SIGKILL')
  await platform.upstream.close()
  await database.close()
  await made.drop()
})

interface Worker {
  child: ChildProcessWithoutNullStreams
  lines: string[]
  /** Calls the API once, for a connection or for a sign-in; resolves with the outcome. */
  call(signIn?: string): Promise<string>
}

/** One that an earlier test has left, where there is one. */
const takeWorker = async (): Promise<Worker> => idle.pop() ?? startWorker()

function kill(worker: Worker): void {
  worker.child.kill('SIGKILL')
  workers.delete(worker)
}

async function startWorker(): Promise<Worker> {
  const { authBase, apiBase } = platform.upstream
  const child = spawn(process.execPath, [WORKER, made.url, authBase, apiBase])
  const lines: string[] = []
  child.stderr.pipe(process.stderr)
  createInterface({ input: child.stdout }).on('line', line => lines.push(line))
  await until(() => lines[0] === 'ready', 60_000)
  const worker = {
    child,
    lines,
    call: async (signIn = '') => {
      const before = lines.length
      child.stdin.write(`go ${signIn}`.trim() + '\n')
      return until(() => lines[before], 40_000)
    },
  }
  workers.add(worker)
  return worker
}

const connections = () =>
  createConnections(database.query, sealer, runtime, { log: { error() {}, warn() {} }, platform: 'real' })

const signIns = () =>
  createSignIns(database.query, sealer, runtime, { log: { error() {}, warn() {} }, platform: 'real' })

/** The id of the sign-in, where it is a participant's consent. */
async function connect(kind: GrantKind = 'installation'): Promise<string | undefined> {
  const issued = platform.issue()
  const tokens = {
    accessToken: issued.access_token,
    refreshToken: issued.refresh_token,
    expiresIn: 3600,
    refreshExpiresIn: undefined,
    scope: 'event.read participants.read',
    ...key,
  }
  await connections().save(tokens)
  if (kind === 'user') return (await signIns().save({ ...tokens, userId: 'usr_1' }))?.signIn
  return undefined
}
const state = async (kind: GrantKind = 'installation') => {
  const table = kind === 'user' ? 'sign_ins' : 'connections'
  const found = await database.query.selectFrom(table).select(['state', 'reason']).executeTakeFirst()
  return found && [found.state, found.reason]
}
const tokenRequests = () => platform.upstream.tokenRequests().length - requestsBefore

/** Holds the next token request until it is let go, before or after the platform has processed it. */
function hold(when: 'before' | 'after') {
  let arrived = false
  let letGo: () => void = () => {}
  const held = new Promise<void>(resolve => {
    letGo = resolve
  })
  const wait = async () => {
    arrived = true
    await held
    return true
  }
  platform[when] = wait
  return {
    letGo,
    arrived: async () => {
      await until(() => arrived)
      platform[when] = async () => true
    },
  }
}

/** A process dies with its request at the platform. */
async function killedWhileHeld(when: 'before' | 'after', kind: GrantKind): Promise<string | undefined> {
  const signIn = await connect(kind)
  const victim = await takeWorker()
  platform.expire()
  const request = hold(when)
  victim.call(signIn).catch(() => {})
  await request.arrived()
  kill(victim)
  return signIn
}

test('several processes make exactly one token request for each expiry', { timeout: 120_000 }, async () => {
  await connect()
  const several = await Promise.all(Array.from({ length: Math.min(8, rounds(3)) }, takeWorker))
  for (let round = 1; round <= rounds(5); round++) {
    platform.expire()
    const outcomes = await Promise.all(several.map(worker => worker.call()))
    expect(new Set(outcomes)).toEqual(new Set(['ok']))
    expect(tokenRequests()).toBe(round)
  }
  expect(platform.revoked()).toBe(false)
  expect(await state()).toEqual(['connected', null])
})

test('100 callers in one process make one token request', async () => {
  await connect()
  const worker = await takeWorker()
  const before = worker.lines.length
  platform.expire()
  worker.child.stdin.write('go\n'.repeat(100))
  await until(() => worker.lines.length === before + 100, 15_000)
  expect(new Set(worker.lines.slice(before))).toEqual(new Set(['ok']))
  expect(tokenRequests()).toBe(1)
})

const KINDS = ['installation', 'user'] as const

test.for(KINDS)(
  'kill -9 before the platform processed it: it is asked again when it surely has (%s)',
  {
    timeout: 60_000,
  },
  async kind => {
    const signIn = await killedWhileHeld('before', kind)
    const survivor = await takeWorker()
    await elapse(database.query, 15_000)
    expect(await survivor.call(signIn)).toBe('upstream_timeout')
    expect(tokenRequests()).toBe(1)
    await elapse(database.query, 30_000)
    expect(await survivor.call(signIn)).toBe('ok')
    expect(tokenRequests()).toBe(2)
    expect(await state(kind)).toEqual(['connected', null])
  },
)

test.for(KINDS)(
  'kill -9 after it was processed: Revento says invalid_grant, and a person is asked (%s)',
  {
    timeout: 60_000,
  },
  async kind => {
    const signIn = await killedWhileHeld('after', kind)
    const survivor = await takeWorker()
    await elapse(database.query, 45_000)
    expect(await survivor.call(signIn)).toBe('reconsent_required')
    expect(await state(kind)).toEqual(['reconsent', 'refresh_interrupted'])
    expect(tokenRequests()).toBe(2)
    expect(await survivor.call(signIn)).toBe('reconsent_required')
    expect(tokenRequests()).toBe(2)
    expect(await survivor.call(await connect(kind))).toBe('ok')
  },
)

test('kill -9 after the commit: there is nothing to recover', async () => {
  await connect()
  const victim = await takeWorker()
  platform.expire()
  expect(await victim.call()).toBe('ok')
  kill(victim)
  expect(await (await takeWorker()).call()).toBe('ok')
  expect(tokenRequests()).toBe(1)
})

test('a holder stopped for two seconds keeps its lease: the others wait for it', {
  timeout: 60_000,
}, async () => {
  await connect()
  const [holder, other] = [await takeWorker(), await takeWorker()]
  platform.expire()
  const request = hold('before')
  const first = holder.call()
  await request.arrived()
  holder.child.kill('SIGSTOP')
  const second = other.call()
  request.letGo()
  setTimeout(() => holder.child.kill('SIGCONT'), 2_000)
  expect(await Promise.all([first, second])).toEqual(['ok', 'ok'])
  expect(tokenRequests()).toBe(1)
})

test('a holder stopped past its lease loses: its late write changes nothing', {
  timeout: 60_000,
}, async () => {
  await connect()
  const [holder, other] = [await takeWorker(), await takeWorker()]
  platform.expire()
  const request = hold('before')
  const first = holder.call()
  await request.arrived()
  holder.child.kill('SIGSTOP')
  await elapse(database.query, 45_000)
  expect(await other.call()).toBe('ok')
  const after = await database.query.selectFrom('connections').selectAll().execute()
  // Revento says invalid_grant of its old token: written now, that would end the connection.
  request.letGo()
  await until(() => platform.revoked())
  holder.child.kill('SIGCONT')
  expect(await first).toBe('ok')
  expect(await database.query.selectFrom('connections').selectAll().execute()).toEqual(after)
  expect(tokenRequests()).toBe(2)
})
