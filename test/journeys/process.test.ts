import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WEBHOOK_SECRET } from '../helpers/app.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { logLines, type Program, slowness, startMain } from '../helpers/program.ts'
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
  // Again where it failed: two seconds can pass while other tests have the processor.
  test.each([
    [
      'with one of three credentials',
      { REVENTO_CLIENT_ID: 'x-client' },
      ['REVENTO_CLIENT_SECRET', 'REVENTO_WEBHOOK_SECRET'],
    ],
    [
      'in production with nothing',
      { NODE_ENV: 'production' },
      [...Object.keys(REAL), 'ENCRYPTION_KEY', 'REVENTO_REDIRECT_URI'],
    ],
    ['with a wrong number', { STATE_TTL_S: 'Zq9-soon' }, ['STATE_TTL_S']],
  ])(
    '%s: exit 1 within 2 s, the list on stderr, no listener, no file',
    { retry: 2 },
    async (_, env, names) => {
      const limit = 2_000 * (await slowness())
      const startedAt = performance.now()
      const app = await startMain({ env })
      expect(await app.ended).toBe(1)
      expect(performance.now() - startedAt).toBeLessThan(limit)
      for (const name of names) expect(app.output.err).toContain(`  ${name} `)
      expect(app.output.err).not.toMatch(/Zq9|x-client|at .*\.ts/)
      expect(app.output.out).toBe('')
      expect(readdirSync(app.folder)).toEqual([])
      expect(await Promise.all([listens(app.port), listens(app.sandboxPort)])).toEqual([false, false])
    },
  )

  test('with an option that nobody knows', async () => {
    const app = await startMain({ args: ['--prot', '80'] })
    expect(await app.ended).toBe(1)
    expect(app.output.err).toContain('--prot')
  })

  test.each(['PORT', 'SANDBOX_PORT'])('when %s is in use, and says what to set', async name => {
    const other = createServer()
    const port = await freePort()
    await new Promise<void>(resolve => other.listen(port, '127.0.0.1', resolve))
    onTestFinished(() => void other.close())
    const app = await startMain({ env: { [name]: String(port) } })
    expect(await app.ended).toBe(1)
    expect(app.output.err).toMatch(new RegExp(`^Port ${port} is in use\\. .* set ${name}\\.\\n$`))
  })

  test('on an address that is not this machine’s', async () => {
    const app = await startMain({ env: { HOST: '203.0.113.1' } })
    expect(await app.ended).toBe(1)
    expect(app.output.err).toMatch(/^HOST is no address of this machine\. .*\n$/)
  })

  test.each([
    ['test.db', 'not a database, but long enough to be looked at: '.repeat(200), 'not_a_database'],
    ['encryption.key', 'x', 'encryption.key cannot be used: key_file_damaged'],
  ])('over a damaged %s, without a stack, leaving it as it is', async (file, content, said) => {
    const folder = testFolder()
    mkdirSync(join(folder, 'data'))
    writeFileSync(join(folder, 'data', file), content)
    const app = await startMain({ folder })
    expect(await app.ended).toBe(1)
    expect(app.output.err).toContain(said)
    expect(app.output.err).not.toMatch(/\n +at /)
  })
})

test('--help explains and exits 0, whatever the settings', async () => {
  const app = await startMain({ args: ['--help'], env: { PORT: 'wrong' } })
  expect(await app.ended).toBe(0)
  expect(app.output.out).toMatch(/^Usage: npm start/)
  expect(readdirSync(app.folder)).toEqual([])
})

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

test('.env is read; the environment wins over it, and an option over both', async () => {
  const folder = testFolder()
  const [own, option] = [await freePort(), await freePort()]
  writeFileSync(join(folder, '.env'), `PORT=${own}\nLOG_LEVEL=debug\nDATABASE_URL=sqlite:other/name.db\n`)
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

test.each(['SIGTERM', 'SIGINT'] as const)(
  'on %s a request under way is answered and stored, then it exits 0',
  async signal => {
    const app = await startMain({ env: REAL })
    await app.says('Ready')
    const slow = await unfinished(app)
    await fetch(`${app.url}/health`)
    app.process.kill(signal)
    await app.says('stopping')
    await until(async () => !(await listens(app.port)))
    slow.finish()
    expect(await app.ended).toBe(0)
    expect(slow.seen.text).toMatch(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nok$/s)
    const database = new DatabaseSync(join(app.folder, 'data', 'test.db'), { readOnly: true })
    expect(database.prepare('select delivery_id from inbox').all()).toMatchObject([{ delivery_id: 'slow' }])
    database.close()
  },
)

test('requests that never end do not keep it: exit 0 within 10 s of SIGTERM and of SIGINT', async () => {
  const stop = async (signal: NodeJS.Signals) => {
    const app = await startMain()
    await app.says('Ready')
    await unfinished(app)
    const half = connect(app.port, '127.0.0.1').on('error', () => {})
    half.write('GET /health HTTP/1.1\r\nHost: loc')
    // Answered after those two were accepted.
    await fetch(`${app.url}/health`)
    const startedAt = performance.now()
    app.process.kill(signal)
    const code = await app.ended
    return {
      code,
      within: performance.now() - startedAt < 10_000,
      said: app.output.out.includes('"stopped"'),
    }
  }
  const stopped = { code: 0, within: true, said: true }
  expect(await Promise.all([stop('SIGTERM'), stop('SIGINT')])).toEqual([stopped, stopped])
})

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
