import { readFileSync, truncateSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { WEBHOOK_SECRET } from '../helpers/app.ts'
import { logLines, type Program, startMain } from '../helpers/program.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'

const REAL = {
  REVENTO_CLIENT_ID: 'client-for-tests',
  REVENTO_CLIENT_SECRET: 'client-secret-for-tests',
  REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
}

async function started(): Promise<Program> {
  const app = await startMain({ env: REAL })
  await app.says('Ready')
  return app
}

const post = async ({ url }: Program) =>
  (await fetch(`${url}/webhooks/revento`, { method: 'POST', ...signedDelivery() })).status

/** A request that never ends, so that stopping takes its six seconds. */
async function holdUp(app: Program): Promise<void> {
  const socket = connect(app.port, '127.0.0.1').on('error', () => {})
  socket.write('POST /webhooks/revento HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n')
  await fetch(`${app.url}/health`)
}

test('a second SIGTERM ends the process at once, with 1; two in one moment are one, as from a Ctrl-C under npm', async () => {
  const app = await started()
  await holdUp(app)
  app.process.kill('SIGINT')
  await app.says('stopping')
  app.process.kill('SIGINT')
  await delay(400)
  expect(app.process.exitCode).toBeNull()
  const begun = performance.now()
  app.process.kill('SIGTERM')
  expect(await app.ended).toBe(1)
  // Not the six seconds that are left to requests.
  expect(performance.now() - begun).toBeLessThan(4_000)
  expect(logLines(app).at(-1)).toMatchObject({
    signal: 'SIGTERM',
    msg: 'stopped at once, by a second signal',
  })
})

test('SIGHUP, SIGPIPE, and readers of its output and input that go away do not end the process', async () => {
  const app = await started()
  for (const signal of ['SIGHUP', 'SIGPIPE'] as const) app.process.kill(signal)
  await app.says('SIGHUP does nothing')
  app.process.stdin?.destroy()
  app.process.stdout?.destroy()
  app.process.stderr?.destroy()
  for (let n = 0; n < 20; n++) expect(await post(app)).toBe(200)
  const before = cpuOf(app.pid)
  await delay(500)
  // It does not try to write for ever.
  expect(cpuOf(app.pid) - before).toBeLessThan(25)
  app.process.kill('SIGTERM')
  expect(await app.ended).toBe(0)
})

/** In hundredths of a second: user and system. */
function cpuOf(pid: number): number {
  if (process.platform !== 'linux') return 0
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')
  const fields = rest.split(' ')
  return Number(fields[11]) + Number(fields[12])
}

test('a fault of the machine ends the process, so that it is started again, and does not leave it spinning and deaf', async () => {
  const app = await started()
  for (const signal of ['SIGBUS', 'SIGSEGV', 'SIGFPE', 'SIGILL', 'SIGABRT'] as const)
    expect(listensTo(app.pid, signal), signal).toBe(false)
  // What raises SIGBUS where it is not looked at first.
  truncateSync(join(app.folder, 'data', 'test.db-shm'))
  expect(await post(app)).toBe(503)
  app.process.kill('SIGTERM')
  expect(await app.ended).toBe(0)
})

const NUMBERS = { SIGILL: 4, SIGABRT: 6, SIGBUS: 7, SIGFPE: 8, SIGSEGV: 11 }

/** The mask of signals with a handler; Node's own for SIGSEGV passes on what is not WebAssembly's. */
function listensTo(pid: number, signal: keyof typeof NUMBERS): boolean {
  if (process.platform !== 'linux') return false
  const [, mask = '0'] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  const caught = (BigInt(`0x${mask}`) >> BigInt(NUMBERS[signal] - 1)) & 1n
  return caught === 1n && signal !== 'SIGSEGV'
}

test('an error nobody caught: the listener closes, what was acknowledged stays, one line says where, exit 1', async () => {
  const rejecting = encodeURIComponent(
    `process.on('SIGWINCH', () => void Promise.reject(new TypeError('bad day')))`,
  )
  const app = await startMain({
    env: { ...REAL, NODE_OPTIONS: `--import=data:text/javascript,${rejecting}` },
  })
  await app.says('Ready')
  expect(await post(app)).toBe(200)
  expect((await fetch(`${app.url}/health`)).status).toBe(200)
  app.process.kill('SIGWINCH')
  await until(async () => (await fetch(`${app.url}/health`).catch(() => ({ status: 0 }))).status !== 200)
  expect(await app.ended).toBe(1)
  const said = logLines(app).filter(line => line['err'] !== undefined)
  expect(said).toMatchObject([
    { msg: 'stopping after an error nobody caught', err: { type: 'TypeError', message: 'bad day' } },
  ])
  expect(JSON.stringify(said)).toContain('at process')
  for (const secret of [WEBHOOK_SECRET, REAL.REVENTO_CLIENT_SECRET])
    expect(app.output.out).not.toContain(secret)
})
