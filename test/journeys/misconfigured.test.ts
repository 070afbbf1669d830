import { chmodSync, chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readEnvFile } from '../../src/config/env-file.ts'
import { loadConfig } from '../../src/config/settings.ts'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { MAIN, slowness, startMain } from '../helpers/program.ts'

const KEY = Buffer.alloc(32, 9).toString('base64')
const ALL = {
  REVENTO_CLIENT_ID: 'client-1',
  REVENTO_CLIENT_SECRET: 'client-secret-1',
  REVENTO_WEBHOOK_SECRET: 'webhook-secret-1',
}
const LIVE = {
  ...ALL,
  NODE_ENV: 'production',
  ENCRYPTION_KEY: KEY,
  REVENTO_REDIRECT_URI: 'https://app.example.com/callback',
}

const IN_BRACES = '$' + '{NAME}'

type Row = [mistake: string, env: Record<string, string>, said: RegExp]
/** What people mistype, and what they are told. The variable that is named is the first of `env`. */
const ROWS: Row[] = [
  ['a port of 0', { PORT: '0' }, /a port, 1 to 65535/],
  ['a port too high', { PORT: '70000' }, /a port, 1 to 65535/],
  ['a space behind a port', { PORT: '3000 ' }, /spaces around it/],
  ['quotes that stayed', { PORT: '"3000"' }, /in quotes; remove them/],
  ['nothing behind the =', { PORT: '' }, /is blank; give a value or remove the line/],
  ['a port in the address', { HOST: '0.0.0.0:3000' }, /an address .* the port is PORT/],
  ['a URL as address', { HOST: 'http://localhost' }, /an address/],
  ['the metrics on the app’s port', { METRICS_PORT: '3000' }, /another port than PORT/],
  ['the sandbox on the app’s port', { SANDBOX_PORT: '3000' }, /another port than PORT/],
  ['a path without its scheme', { DATABASE_URL: 'data/revento.db' }, /sqlite:FILE or postgres:\/\//],
  ['another database', { DATABASE_URL: 'mysql://u:Zq9pass@h/d' }, /sqlite:FILE or postgres:\/\//],
  ['two slashes before a folder', { DATABASE_URL: 'sqlite://data/x.db' }, /sqlite:data\/revento\.db, or/],
  ['a folder as file', { DATABASE_URL: 'sqlite:data/' }, /must name a file/],
  ['a home folder', { DATABASE_URL: 'sqlite:~/x.db' }, /without ~, \$NAME or %NAME%: write the path out/],
  ['the name of a home folder', { DATABASE_URL: 'sqlite:$HOME/x.db' }, /write the path out/],
  ['the same in braces', { DATABASE_URL: `sqlite:data/${IN_BRACES}.db` }, /write the path out/],
  ['the same on Windows', { DATABASE_URL: 'sqlite:%APPDATA%/x.db' }, /write the path out/],
  [
    'a variable as secret',
    { ...ALL, REVENTO_WEBHOOK_SECRET: IN_BRACES },
    /REVENTO_WEBHOOK_SECRET +is the name of another variable; give the value/,
  ],
  ['a database in memory', { DATABASE_URL: 'sqlite::memory:' }, /must name a file/],
  [
    'a password that is not escaped',
    { DATABASE_URL: 'postgres://u:Zq9/p@h:x/d' },
    /special characters as %XX/,
  ],
  ['no database on the server', { DATABASE_URL: 'postgresql://u:Zq9@h' }, /must name a database/],
  ['a key in hex', { ENCRYPTION_KEY: '0a'.repeat(32) }, /openssl rand -base64 32/],
  ['a key of 31 bytes', { ENCRYPTION_KEY: Buffer.alloc(31).toString('base64') }, /openssl rand -base64 32/],
  [
    'the same key twice',
    { ENCRYPTION_KEY_PREVIOUS: KEY, ENCRYPTION_KEY: KEY },
    /is the same as ENCRYPTION_KEY: give the one before it, or remove the line/,
  ],
  [
    'the same secret twice',
    { REVENTO_WEBHOOK_SECRET_PREVIOUS: 'webhook-secret-1', ...ALL },
    /is the same as REVENTO_WEBHOOK_SECRET/,
  ],
  ['a placeholder', { ...ALL, REVENTO_CLIENT_SECRET: 'changeme' }, /REVENTO_CLIENT_SECRET +is a placeholder/],
  [
    'two of three',
    { REVENTO_CLIENT_ID: 'client-1' },
    /REVENTO_CLIENT_SECRET +is missing: .*none of the three/,
  ],
  ['the sandbox’s id', { ...LIVE, REVENTO_CLIENT_ID: 'sandbox-client' }, /CLIENT_ID +is the sandbox's/],
  ['no key in production', { NODE_ENV: 'production' }, /ENCRYPTION_KEY +is missing: .*openssl rand/],
  ['http in production', { ...LIVE, REVENTO_REDIRECT_URI: 'http://a.example/callback' }, /must be https/],
  ['an http host in production', { ...LIVE, REVENTO_AUTH_BASE: 'http://auth.example' }, /must be https/],
  ['another path', { REVENTO_REDIRECT_URI: 'https://a.example/oauth' }, /must end with \/callback/],
  [
    'a path before it',
    { REVENTO_REDIRECT_URI: 'https://a.example/integration/callback' },
    /must end with \/callback right after the host: .* a host name of its own/,
  ],
  ['an empty path before it', { REVENTO_REDIRECT_URI: 'https://a.example//callback' }, /after the host/],
  ['an address inside another', { TRUST_PROXY: '::ffff:10.0.0.0/8' }, /proxy addresses, e\.g\./],
  ['a slash at the end', { REVENTO_REDIRECT_URI: 'https://a.example/callback/' }, /must end with \/callback/],
  ['a host without credentials', { REVENTO_AUTH_BASE: 'https://auth.example' }, /set without credentials/],
  ['commas between scopes', { REVENTO_SCOPES: 'event.read,participants.read' }, /one space between/],
  ['everybody as proxy', { TRUST_PROXY: 'true' }, /proxy addresses, e\.g\./],
  ['no days', { RETENTION_DAYS: '0' }, /days, 30 to 3650/],
  ['days in words', { RETENTION_DAYS: 'abc' }, /days, 30 to 3650/],
  ['a level that is not one', { LOG_LEVEL: 'verbose' }, /trace, debug, info, warn, error or fatal/],
  ['no handler at once', { HANDLER_CONCURRENCY: '0' }, /handlers at once, 1 to 100/],
  ['a day for a consent', { STATE_TTL_S: '99999' }, /seconds, 60 to 3600/],
  ['a limit with its unit', { WEBHOOK_BODY_LIMIT: '1GB' }, /bytes, 1024 to 16777216/],
  ['prod', { NODE_ENV: 'prod' }, /production, development or test/],
  ['an event’s name', { REVENTO_EVENT_ID: 'My Event' }, /an event id, e\.g\./],
]

describe('refused, by name and with what to type, and the value is not shown:', () => {
  test.each(ROWS)('a wrong setting is refused with what to type, and not shown: %s', (_, env, said) => {
    const load = () => loadConfig(env)
    expect(load).toThrow(said)
    // Shorter ones are words of the message too.
    for (const [name, value] of Object.entries(env))
      if (/SECRET|KEY|_ID$/.test(name)) expect(load).not.toThrow(value)
    expect(load).not.toThrow('Zq9')
  })
})

test('production with nothing set: everything that it needs is listed', () => {
  for (const name of [...Object.keys(ALL), 'ENCRYPTION_KEY', 'REVENTO_REDIRECT_URI'])
    expect(() => loadConfig({ NODE_ENV: 'production' })).toThrow(`  ${name} `)
})

const listens = (port: number) =>
  new Promise<boolean>(resolve => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })

/** Right by themselves, or of the program's own in this test. */
const NOT_ALONE = /_PREVIOUS$|^PORT$|^(SANDBOX|METRICS)_PORT$|^REVENTO_(AUTH_BASE|CLIENT_ID)$/
/** The first wrong value of each other variable. */
const WRONG: Record<string, string> = {}
for (const [, env] of ROWS)
  for (const [name, value] of Object.entries(env).slice(0, 1))
    if (!NOT_ALONE.test(name) && value !== 'production') WRONG[name] ??= value

// Again where it failed: how slow the machine is changes from one moment to the next.
test('the program lists all wrong settings at once, exits with 1 within 2 s, listens nowhere and makes no file', {
  retry: 2,
}, async () => {
  const env = {
    ...WRONG,
    METRICS_PORT: '0',
    REVENTO_CLIENT_ID: 'client-1',
    REVENTO_WEBHOK_SECRET: 'Zq9-misspelt-secret',
  }
  const limit = 2_000 * (await slowness())
  const begun = performance.now()
  const app = await startMain({ env })
  expect(await app.ended).toBe(1)
  expect(performance.now() - begun).toBeLessThan(limit)
  for (const name of [
    ...Object.keys(WRONG),
    'METRICS_PORT',
    'REVENTO_CLIENT_SECRET',
    'REVENTO_WEBHOOK_SECRET',
  ])
    expect(app.output.err).toContain(`  ${name} `)
  expect(Object.keys(WRONG).length).toBeGreaterThanOrEqual(12)
  expect(app.output.err).toContain(
    'REVENTO_WEBHOK_SECRET is not a setting; did you mean REVENTO_WEBHOOK_SECRET?',
  )
  expect(app.output.err).not.toMatch(/Zq9|\n +at /)
  expect(app.output.out).toBe('')
  expect(readdirSync(app.folder)).toEqual([])
  expect(await Promise.all([listens(app.port), listens(app.sandboxPort)])).toEqual([false, false])
})

/** For --import: root may read everything. */
const AS_NOBODY = 'data:text/javascript,if(!process.getuid()){process.setgid(65534);process.setuid(65534)}'

describe('.env', () => {
  test('a .env that is a folder is refused in a line, with what to do', () => {
    const path = join(testFolder(), '.env')
    mkdirSync(path)
    const problems = new Map<string, string>()
    readEnvFile(path, problems)
    expect([...problems]).toEqual([[path, 'is a folder: remove it, or give a file']])
  })

  test('a .env that is not readable stops the program, which says in a line what to type', async () => {
    const folder = testFolder()
    chmodSync(folder, 0o755)
    const path = join(folder, '.env')
    writeFileSync(path, 'PORT=3000\n')
    chmodSync(path, 0)
    if (process.getuid?.() === 0) chownSync(path, 65534, 65534)
    const child = node(['--import', AS_NOBODY, MAIN], { cwd: folder })
    expect([await child.ended, child.output.out]).toEqual([1, ''])
    expect(child.output.err).toMatch(/^ {2}\.env {2}is not readable for this user: chown it, or chmod 644$/m)
    expect(child.output.err).not.toMatch(/\n +at /)
    expect(readdirSync(folder)).toEqual(['.env'])
  })

  test('a line of .env that sets nothing is refused by its number, and not shown', () => {
    const path = join(testFolder(), '.env')
    writeFileSync(path, '# mine\nREVENTO_CLIENT_ID=client-1\nREVENTO_CLIENT_SECRET Zq9-secret\n')
    const problems = new Map<string, string>()
    readEnvFile(path, problems)
    expect([...problems]).toEqual([[`${path} line 3`, 'is no NAME=value, nor a # comment']])
  })

  const CUT = [2, 'REVENTO_WEBHOOK_SECRET would be cut at its #: put quotes around the value']
  const QUOTE = [2, 'REVENTO_WEBHOOK_SECRET has no closing quote, or something behind it']
  test.each([
    ['a # in it', 'Zq9_9f3kQ2#pZ7vL1', CUT],
    ['a # in it and a comment', 'Zq9_9f3kQ2#pZ7vL1 # mine', CUT],
    ['a # at its beginning', '#Zq9_9f3kQ2', CUT],
    ['a quote that is not closed', '"Zq9_9f3kQ2', QUOTE],
    ['a quote that is not closed, and a #', '"Zq9_9f3#kQ2', QUOTE],
    ['something behind its quotes', '"Zq9_9f3kQ2"Zq9', QUOTE],
    [
      'another value further down',
      'Zq9_9f3kQ2\nREVENTO_WEBHOOK_SECRET=Zq9_other',
      [3, 'REVENTO_WEBHOOK_SECRET has another value in line 2: keep one of them'],
    ],
  ])('a value of .env with %s is refused in a line, and not shown', (_, value, [line, said]) => {
    const path = join(testFolder(), '.env')
    writeFileSync(path, `# mine\nexport REVENTO_WEBHOOK_SECRET=${value}\r\nPORT=3000\n`)
    const problems = new Map<string, string>()
    readEnvFile(path, problems)
    expect([...problems]).toEqual([[`${path} line ${line}`, said]])
  })

  test.each([
    ['a # within quotes', '"Zq9_9f3k#Q2"'],
    ['a # within quotes, and a comment', "'Zq9_9f3k#Q2' # mine"],
    ['a comment behind a space', 'Zq9_9f3kQ2 # it is 3#4'],
    ['the same value twice', 'Zq9_9f3kQ2\nREVENTO_WEBHOOK_SECRET="Zq9_9f3kQ2"'],
    ['several lines in another', 'Zq9_9f3kQ2\nOTHER="a\n#b\nc=d"'],
  ])('a value of .env with %s is read as it looks', (_, value) => {
    const path = join(testFolder(), '.env')
    writeFileSync(path, `REVENTO_WEBHOOK_SECRET=${value}`)
    const problems = new Map<string, string>()
    expect(readEnvFile(path, problems)['REVENTO_WEBHOOK_SECRET']).toMatch(/^Zq9_9f3k#?Q2$/)
    expect(problems).toEqual(new Map())
  })
})
