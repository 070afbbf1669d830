import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { dataFolder } from '../../src/cli/develop/go-live/host.ts'
import { encryptionKey, settings } from '../../src/cli/develop/go-live/settings.ts'
import { loadConfig } from '../../src/config/settings.ts'
import { handlers } from '../../src/integration/handlers/index.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { CLIENT_SECRET, startApp, WEBHOOK_SECRET } from '../helpers/app.ts'
import { pathOf } from '../helpers/database.ts'
import { testFolder } from '../helpers/folder.ts'
import { ownValues } from '../helpers/own-values.ts'
import { freePort } from '../helpers/ports.ts'
import { testRuntime } from '../helpers/runtime.ts'
import { certificate, type ProxyWays, tlsProxy, trust } from '../helpers/tls-proxy.ts'
import { typed } from '../helpers/typed.ts'

const CLI = fileURLToPath(new URL('../../src/cli/develop/go-live.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

interface Told {
  failed: number
  register: { redirect_uri: string; webhook_url: string; webhook_event_types: string[] }
  checks: { name: string; status: string; said: string; todo?: string }[]
  checklist: { statement: string; status: string; evidence: string }[]
}

/** The app behind a TLS proxy with these ways, as it stands in production; the same proxy plays Revento's hosts. */
async function deployment(ways: ProxyWays = {}, env: Record<string, string> = {}, isTrusted = true) {
  const [port, own] = [await freePort(), certificate()]
  const origin = `https://localhost:${port}`
  const shared = { REVENTO_REDIRECT_URI: `${origin}/callback`, REVENTO_AUTH_BASE: `${origin}/auth` }
  const time = testRuntime()
  const app = await startApp({ env: shared, runtime: time })
  onTestFinished(() => {
    // Half a minute later nobody watches /ready any more, who would be given notice.
    time.advance(30_000)
    return app.close()
  })
  await tlsProxy(port, app.url, own, ways)
  const settings = {
    ...shared,
    NODE_ENV: 'production',
    PORT: String(app.config.port),
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: CLIENT_SECRET,
    REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
    REVENTO_API_BASE: `${origin}/api/v1`,
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    DATABASE_URL: `sqlite:${pathOf(app.config.store)}`,
    ...env,
  }
  if (isTrusted) trust(own.cert)
  const goLive = (args: string[] = [], change: Record<string, string> = {}) =>
    typed(CLI, args, { env: { ...settings, ...change } })
  return { app, origin, goLive }
}

/** What failed, without the data folder: on which kind of disk the tests run is nobody's fault. */
async function failedChecks(...how: Parameters<typeof deployment>) {
  const { goLive } = await deployment(...how)
  const { code, out } = await goLive(['--json'])
  const { checks }: Told = JSON.parse(out)
  const failed = checks.filter(({ status, name }) => status === 'failed' && name !== 'data folder')
  return { code, failed, names: failed.map(({ name }) => name) }
}

test('a deployment that is right has nothing to mend, and says what to register', async () => {
  const { app, origin, goLive } = await deployment()
  const { out, code } = await goLive(['--json'])
  const told: Told = JSON.parse(out)
  expect(told.register).toMatchObject({
    redirect_uri: `${origin}/callback`,
    webhook_url: `${origin}/webhooks/revento`,
    webhook_event_types: expect.arrayContaining(['data.deletion_required', ...Object.keys(handlers.revento)]),
  })
  expect(told.checks.filter(({ status, name }) => status !== 'ok' && name !== 'data folder')).toEqual([])
  expect(told.checks.map(({ name }) => name)).toEqual(
    expect.arrayContaining([
      'production',
      'settings',
      'senders',
      'encryption key',
      'data folder',
      'clock',
      'https',
    ]),
  )
  expect(told.checklist).toHaveLength(11)
  expect(told.checklist.filter(({ status }) => status === 'failed')).toEqual([])
  expect(told.checklist.filter(({ status }) => status === 'shown')).toHaveLength(4)
  expect(code).toBe(told.failed === 0 ? 0 : 1)
  const rows = await app.database.query.selectFrom('inbox').select(['type', 'state']).orderBy('id').execute()
  expect(rows.map(({ type, state }) => `${type} ${state}`)).toEqual([
    'starter.go_live ignored',
    'starter.go_live duplicate',
  ])
})

test('the checklist cites only files, drill days and commands that exist', async () => {
  const { goLive } = await deployment()
  const { out } = await goLive(['--json'])
  const { checklist }: Told = JSON.parse(out)
  const { DAYS } = await import('../../src/cli/develop/drill/days.ts')
  for (const { evidence } of checklist) {
    for (const [path] of evidence.matchAll(/(?:src|test)\/[\w./-]+\.ts/g))
      expect([path, existsSync(join(ROOT, path))]).toEqual([path, true])
    for (const [, day] of evidence.matchAll(/--only (\w+)/g))
      expect(DAYS.map(({ name }) => name)).toContain(day)
  }
})

describe('a proxy that is set up wrong is named, with what to do', () => {
  test('go-live names a proxy that strips the cookies of answers', async () => {
    const { code, failed, names } = await failedChecks({ dropsOut: ['set-cookie'] })
    expect([code, names]).toEqual([1, ['cookies']])
    expect(failed[0]).toMatchObject({ said: expect.stringContaining('no Set-Cookie: the proxy strips it') })
  })

  test('go-live names a proxy that strips the cookies of requests', async () => {
    const { failed, names } = await failedChecks({ dropsIn: ['cookie'] })
    expect(names).toEqual(['cookies'])
    expect(failed[0]?.said).toContain('the Cookie header does not reach the app')
  })

  test('go-live names a proxy that writes bodies anew', async () => {
    const { code, failed, names } = await failedChecks({
      body: body => Buffer.from(JSON.stringify(JSON.parse(String(body)))),
    })
    expect([code, names]).toEqual([1, ['webhook body', 'webhook stored']])
    expect(failed[0]?.said).toContain('the proxy changes the body')
    expect(failed[0]?.todo).toContain('rewrites bodies in the proxy')
  })

  test('go-live names a proxy that sends https to http', async () => {
    const { code, failed, names } = await failedChecks({
      answer: path => ({ status: 301, headers: { location: `http://localhost${path}` } }),
    })
    expect([code, names]).toEqual([1, expect.arrayContaining(['proxy scheme'])])
    const named = failed.find(({ name }) => name === 'proxy scheme')
    expect(named?.said).toContain('from https to http')
    expect(named?.todo).toContain('on https pass on to the app')
  })

  test('go-live names a proxy whose certificate nobody has signed', async () => {
    const { failed, names } = await failedChecks({}, {}, false)
    expect(names).toEqual(['clock', 'public URL'])
    expect(failed[1]).toMatchObject({ said: expect.stringContaining('DEPTH_ZERO_SELF_SIGNED_CERT') })
    expect(failed[1]?.todo).toContain('NODE_EXTRA_CA_CERTS')
  })
})

test('a clock that is a minute off, and another secret than the app has, are named', async () => {
  const clock = await failedChecks({ aheadS: 60 })
  expect(clock.names).toEqual(['clock'])
  expect(clock.failed[0]?.said).toMatch(/(59|60|61) s behind Revento's/)
  const secret = await failedChecks({}, { REVENTO_WEBHOOK_SECRET: 'another-webhook-secret-0123' })
  expect(secret.names).toEqual(['webhook body', 'webhook stored'])
  expect(secret.failed[0]?.said).toContain('the running app does not accept the signature of these settings')
})

test('settings that are not those of the running app are named', async () => {
  const { origin, goLive } = await deployment()
  const other = `${origin.replace('localhost', 'LOCALHOST')}/callback`
  const { out } = await goLive(['--json'], { REVENTO_REDIRECT_URI: other })
  const { checks }: Told = JSON.parse(out)
  expect(checks.find(({ name }) => name === 'https')).toMatchObject({
    status: 'failed',
    said: `the running app sends the redirect URI ${origin}/callback, and these settings have ${other}`,
  })
})

test('a token that is stored in the clear fails the checklist', async () => {
  const { app, goLive } = await deployment()
  const row = {
    event_id: 'evt_1',
    organization_id: 'org_1',
    state: 'connected',
    scope: 'event.read',
  } as const
  const times = {
    access_expires_at: 1,
    refresh_expires_at: 1,
    consent_expires_at: 1,
    connected_at: 1,
    updated_at: 1,
  }
  const tokens = { access_token: Buffer.from('rev_install_x'), refresh_token: randomBytes(40), reason: null }
  await app.database.query
    .insertInto('connections')
    .values({ ...row, ...times, ...tokens, version: 1 })
    .execute()
  const { code, out } = await goLive(['--json'])
  const { checklist }: Told = JSON.parse(out)
  const point = checklist.find(({ statement }) => statement.startsWith('no token is readable'))
  expect([code, point]).toMatchObject([
    1,
    { status: 'failed', evidence: expect.stringContaining('1 in the clear') },
  ])
})

describe('settings', () => {
  test('everything that production would refuse is listed, with what to type', () => {
    const found = settings({ env: { REVENTO_CLIENT_SECRET: 'your-secret-here' } })
    const failed = found.filter(({ status }) => status === 'failed')
    const said = failed.map(one => `${one.said} > ${one.todo}`).join('\n')
    for (const text of [
      'NODE_ENV is not production',
      'REVENTO_CLIENT_ID is missing > Set REVENTO_CLIENT_ID to',
      'REVENTO_CLIENT_SECRET is a placeholder',
      'ENCRYPTION_KEY is missing > Set ENCRYPTION_KEY to 32 random bytes in base64: openssl rand -base64 32',
      'REVENTO_REDIRECT_URI is missing',
    ])
      expect(said).toContain(text)
    expect(said).not.toContain('your-secret-here')
  })

  test('removing what has a placeholder as its default is not advised: a host is to be set', () => {
    const right = {
      REVENTO_CLIENT_ID: 'client-1',
      REVENTO_CLIENT_SECRET: 'client-secret',
      REVENTO_WEBHOOK_SECRET: 'webhook-1',
      REVENTO_REDIRECT_URI: 'https://app.test/callback',
      ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    }
    const env = { ...ownValues, NODE_ENV: 'production', ...right, REVENTO_SCOPE: 'event.read' }
    const told = settings({ env }).filter(({ status }) => status === 'unsure')
    expect(told.map(({ said, todo }) => `${said} > ${todo}`)).toEqual([
      'REVENTO_SCOPE is not a setting; did you mean REVENTO_SCOPES? > Correct it, or remove it.',
      'REVENTO_AUTH_BASE is a placeholder that answers nowhere > Set the host that Revento gave you.',
      'REVENTO_API_BASE is a placeholder that answers nowhere > Set the host that Revento gave you.',
    ])
  })

  test('a key that is missing, or not random, is none', () => {
    const withKey = (ENCRYPTION_KEY?: string) =>
      encryptionKey({ config: loadConfig(ENCRYPTION_KEY ? { ENCRYPTION_KEY } : {}) }).status
    expect(withKey()).toBe('failed')
    expect(withKey(Buffer.alloc(32, 7).toString('base64'))).toBe('failed')
    expect(withKey(randomBytes(32).toString('base64'))).toBe('ok')
  })
})

describe.skipIf(process.platform !== 'linux')('the data folder', () => {
  const look = (folder: string, kind: number) =>
    dataFolder({ config: loadConfig({ DATABASE_URL: `sqlite:${folder}/a.db` }), runtime }, () => kind)

  test.each([
    [0x01021994, 'tmpfs'],
    [0x794c7630, 'overlayfs'],
    [0x6969, 'NFS'],
  ])('of kind %i is %s, and does not last', (kind, what) => {
    const found = look(testFolder(), kind)
    expect([found.status, found.said]).toEqual(['failed', expect.stringContaining(what)])
    expect(found.todo).toContain('volume')
  })

  test('on a disk is right; one that is missing says what to type', () => {
    expect(look(testFolder(), 0xef53).status).toBe('ok')
    expect(look(join(testFolder(), 'none'), 0xef53)).toMatchObject({
      status: 'failed',
      todo: expect.stringContaining('mkdir -p'),
    })
  })

  test('that cannot be written, by root either, says so', () => {
    expect(look('/proc', 0xef53)).toMatchObject({
      status: 'failed',
      said: expect.stringContaining('/proc is not writable'),
      todo: expect.stringContaining('chown'),
    })
  })
})

test('--help, and a report for people', async () => {
  const { goLive } = await deployment({ dropsOut: ['set-cookie'] })
  const { out } = await goLive()
  expect(out).toMatch(/^Register at Revento, exactly so:\n {2}redirect URI {3}https:/)
  expect(out).toMatch(/^FAILED {2}cookies: .*\n {8}to do: Have the proxy pass Set-Cookie on/m)
  expect(out).toMatch(/^tested {2}3\. a new refresh token is stored before it is used \(npm run drill/m)
  const help = await goLive(['--help'])
  expect([help.code, help.out]).toEqual([0, expect.stringContaining('npm run go-live')])
  expect((await goLive(['--loud'])).err).toContain('--help')
})
