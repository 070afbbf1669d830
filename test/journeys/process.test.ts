import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WEBHOOK_SECRET } from '../helpers/app.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { logLines, type Program, startMain } from '../helpers/program.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'

const REAL = {
  REVENTO_CLIENT_ID: 'client-for-tests',
  REVENTO_CLIENT_SECRET: 'client-secret-for-tests',
  REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
}
const listens = (port: number) =>
  new Promise<boolean>(resolve => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })

describe('refuses to start', () => {
  test('an option that nobody knows stops the start', async () => {
    const app = await startMain({ args: ['--prot', '80'] })
    expect(await app.ended).toBe(1)
    expect(app.output.err).toContain('--prot')
  })

  test.each([
    // What listens on it is named by it.
    'PORT',
    'SANDBOX_PORT', // part: sandbox
  ])('the start is refused when %s is in use, and says what to set', async name => {
    const other = createServer()
    const port = await freePort()
    await new Promise<void>(resolve => other.listen(port, '127.0.0.1', resolve))
    onTestFinished(() => void other.close())
    const app = await startMain({ env: { [name]: String(port) } })
    expect(await app.ended).toBe(1)
    expect(app.output.err).toMatch(new RegExp(`^Port ${port} is in use\\. .* set ${name}\\.\\n$`))
  })

  test('an address that is not this machine’s stops the start', async () => {
    const app = await startMain({ env: { HOST: '203.0.113.1' } })
    expect(await app.ended).toBe(1)
    expect(app.output.err).toMatch(/^HOST is no address of this machine\. .*\n$/)
  })

  test('a damaged key file stops the start, without a stack, and stays as it is', async () => {
    const folder = testFolder()
    mkdirSync(join(folder, 'data'))
    writeFileSync(join(folder, 'data', 'encryption.key'), 'x')
    const app = await startMain({ folder })
    expect(await app.ended).toBe(1)
    expect(app.output.err).toContain('encryption.key cannot be used: key_file_damaged')
    expect(app.output.err).not.toMatch(/\n +at /)
    expect(readFileSync(join(folder, 'data', 'encryption.key'), 'utf8')).toBe('x')
  })
})

test('npm start -- --help explains and exits 0, whatever the settings', async () => {
  const app = await startMain({ args: ['--help'], env: { PORT: 'wrong' } })
  expect(await app.ended).toBe(0)
  expect(app.output.out).toMatch(/^Usage: npm start/)
  expect(readdirSync(app.folder)).toEqual([])
})

// part: sandbox {
test('with no settings it starts with the sandbox, healthy and ready, and logs JSON lines', async () => {
  const app = await startMain({ env: { REVENTO_CLIENT_IDD: 'x' } })
  await app.says('Ready')
  for (const path of ['/health', '/ready']) {
    const answer = await fetch(`${app.url}${path}`)
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok' }])
  }
  expect(await listens(app.sandboxPort)).toBe(true)
  expect(logLines(app).find(line => String(line['msg']).startsWith('Ready'))).toMatchObject({
    mode: 'sandbox',
  })
  expect(logLines(app).filter(line => line['level'] === 'warn')).toMatchObject([
    { msg: 'REVENTO_CLIENT_IDD is not a setting; did you mean REVENTO_CLIENT_ID?' },
  ])
  expect(readdirSync(join(app.folder, 'data'))).toEqual(expect.arrayContaining(['encryption.key', 'test.db']))
})
// part: sandbox }

test('.env is read, as Windows writes it too; the environment wins over it, and an option over both', async () => {
  const folder = testFolder()
  const [own, option] = [await freePort(), await freePort()]
  const lines = [`\ufeffexport PORT="${own}"  # mine`, '', '  # more', "LOG_LEVEL = 'debug'"]
  writeFileSync(join(folder, '.env'), [...lines, 'DATABASE_URL=sqlite:other/name.db', ''].join('\r\n'))
  const app = await startMain({ folder, args: ['--port', String(option)] })
  await app.says('Ready')
  expect(await Promise.all([listens(option), listens(app.port), listens(own)])).toEqual([true, false, false])
  expect(readdirSync(folder)).not.toContain('other')
  await fetch(`http://127.0.0.1:${option}/health`)
  await until(() => logLines(app).some(line => line['level'] === 'debug'))
})

/** A delivery of which the last byte has not been sent. */
async function unfinished(app: Program) {
  const { body, headers } = signedDelivery({ id: 'slow' })
  const head = Object.entries({ host: 'localhost', ...headers, 'content-length': String(body.length) })
  const socket = connect(app.port, '127.0.0.1')
  const seen = { text: '' }
  socket.on('data', chunk => {
    seen.text += chunk
  })
  socket.on('error', () => {})
  const lines = head.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.write(`POST /webhooks/revento HTTP/1.1\r\n${lines}\r\n`)
  socket.write(body.subarray(0, -1))
  return { finish: () => socket.write(body.subarray(-1)), seen }
}

/** The six seconds that are left to requests are waited for once. */
test('on SIGTERM and on SIGINT a request under way is answered and stored, one that never ends is cut, and it exits 0 within 10 s', () =>
  Promise.all((['SIGTERM', 'SIGINT'] as const).map(stops)))

async function stops(signal: NodeJS.Signals): Promise<void> {
  const app = await startMain({ env: REAL })
  await app.says('Ready')
  const slow = await unfinished(app)
  await unfinished(app)
  const half = connect(app.port, '127.0.0.1').on('error', () => {})
  half.write('GET /health HTTP/1.1\r\nHost: loc')
  // Answered after those were accepted.
  await fetch(`${app.url}/health`)
  const startedAt = performance.now()
  app.process.kill(signal)
  await app.says('stopping')
  await until(async () => !(await listens(app.port)))
  slow.finish()
  expect(await app.ended).toBe(0)
  expect(performance.now() - startedAt).toBeLessThan(10_000)
  expect(app.output.out).toContain('"stopped"')
  expect(slow.seen.text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nok$/s)
  const database = new DatabaseSync(join(app.folder, 'data', 'test.db'), { readOnly: true })
  expect(database.prepare('select delivery_id from inbox').all()).toMatchObject([{ delivery_id: 'slow' }])
  database.close()
}

test('in production a database that was not there is told of, once', async () => {
  const env = {
    ...REAL,
    NODE_ENV: 'production',
    ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
    REVENTO_REDIRECT_URI: 'https://app.example.com/callback',
  }
  const folder = testFolder()
  const told = async () => {
    const app = await startMain({ env, folder })
    await app.says('Ready: open')
    app.process.kill('SIGTERM')
    expect(await app.ended).toBe(0)
    return logLines(app).filter(line => String(line['msg']).startsWith('made a new database'))
  }
  expect(await told()).toMatchObject([{ level: 'warn', store: expect.stringContaining('test.db') }])
  expect(await told()).toEqual([])
})
