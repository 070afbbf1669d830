import { describe, expect, test } from 'vitest'
import { type Forms, oneOf, optional, secret, text, url, wholeNumber } from '../../src/builder/define.ts'
import { ownHelp, secretsOf } from '../../src/config/own.ts'
import { ConfigError, loadConfig } from '../../src/config/settings.ts'
import { node } from '../helpers/child.ts'

const SECRET = 'a-key-of-the-mail-service'
const forms = {
  MAIL_URL: url('where the mail service listens, e.g. https://mail.example.com', {
    development: 'http://127.0.0.1:9',
  }),
  MAIL_KEY: secret('the key of the mail service', { development: 'key-for-development' }),
  MAIL_TEAM: text('the name of the team, two words', { pattern: /\w+ \w+/, otherwise: 'The team' }),
  MAIL_TRIES: wholeNumber('tries', { least: 1, most: 9, otherwise: 3 }),
  MAIL_MODE: optional(oneOf(['plain', 'fancy'])),
} satisfies Forms

const PRODUCTION = {
  NODE_ENV: 'production',
  REVENTO_CLIENT_ID: 'client',
  REVENTO_CLIENT_SECRET: 'client-secret-0123',
  REVENTO_WEBHOOK_SECRET: 'webhook-secret-0123',
  REVENTO_REDIRECT_URI: 'https://app.example.org/callback',
  ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
}
const given = { MAIL_URL: 'https://mail.example.org', MAIL_KEY: SECRET }
const problemsOf = (env: Record<string, string>, own: Forms = forms): string => {
  try {
    loadConfig(env, own)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return ''
}

test('variables of the builder are read by their forms, typed, with what stands for those that are not set', () => {
  const { own } = loadConfig({ ...PRODUCTION, ...given, MAIL_TRIES: '7', MAIL_MODE: 'fancy' }, forms)
  expect(own).toEqual({ ...given, MAIL_TEAM: 'The team', MAIL_TRIES: 7, MAIL_MODE: 'fancy' })
  expect(loadConfig({}, forms).own).toEqual({
    MAIL_URL: 'http://127.0.0.1:9',
    MAIL_KEY: 'key-for-development',
    MAIL_TEAM: 'The team',
    MAIL_TRIES: 3,
  })
})

test('in production nothing stands for a development value, and that value itself is refused for a secret', () => {
  expect(problemsOf(PRODUCTION)).toMatch(
    /2 settings .*\n +MAIL_URL +is missing: give where.*\n +MAIL_KEY +is missing/,
  )
  expect(problemsOf({ ...PRODUCTION, ...given, MAIL_KEY: 'key-for-development' })).toMatch(
    /MAIL_KEY +is known to everybody/,
  )
})

test('one report has every problem, ours first, then the builder’s in the order of their list, and no value', () => {
  const wrong = {
    MAIL_MODE: 'loud',
    MAIL_TRIES: '10',
    MAIL_TEAM: 'alone',
    MAIL_KEY: 'short',
    MAIL_URL: 'ftp://x',
  }
  const report = problemsOf({ ...wrong, PORT: 'x' })
  expect(report.match(/^ {2}[A-Z_]+/gm)?.map(name => name.trim())).toEqual(['PORT', ...Object.keys(forms)])
  expect(report).toContain('is not right: give tries, 1 to 9')
  expect(report).toContain('is not right: give one of plain, fancy')
  expect(report).toMatch(/MAIL_URL +is not right: give where.* \(begins with http:\/\/ or https:\/\/\)\n/)
  expect(report).toContain('\nSee .env.example, and for your own src/integration/settings.ts.')
  for (const value of Object.values(wrong)) expect(report).not.toContain(value)
})

describe('what is refused', () => {
  test.each([
    ['MAIL_URL', ['mail.example.org', 'https://', 'https://user:pw@mail.example.org', ' https://a.b']],
    ['MAIL_KEY', ['1234567', 'two words here', 'changeme', '"quoted-secret"', '']],
    ['MAIL_TEAM', ['one', 'one two three', 'one two\nthree']],
    ['MAIL_TRIES', ['0', '10', '1.5', '0x1', '1e0', '+1', '01', '']],
    ['MAIL_MODE', ['Plain', 'none']],
  ])('%s: %j', (name, values) => {
    for (const value of values) expect(problemsOf({ [name]: value }), value).toContain(` ${name} `)
  })

  test.each([
    ['PORT', "is this app's own variable"],
    ['BARKER_WEBHOOK_SECRET', "is this app's own variable"], // part: senders
    ['REVENTO_MAIL', 'begins like'],
    ['MAIL', 'is no name'],
    ['mail_url', 'is no name'],
  ])('%s as a name: %s', (name, why) => {
    const report = problemsOf({}, { [name]: text('anything', { otherwise: 'a' }) })
    expect(report).toContain(why)
    expect(report).toContain('src/integration/settings.ts')
  })
})

test('a misspelt name of the builder’s is warned about, a right one is not', () => {
  const { warnings } = loadConfig({ MAIL_TRYS: '1', MAIL_MODE: 'plain', SOMETHING_ELSE: '1' }, forms)
  expect(warnings).toEqual(['MAIL_TRYS is not a setting; did you mean MAIL_TRIES?'])
})

test('--help has a line for each, and secrets are told from the others', () => {
  expect(ownHelp(forms)).toContain('  MAIL_KEY    the key of the mail service: 8 to 512')
  expect(ownHelp({})).toBe('')
  expect(secretsOf(forms, loadConfig({ MAIL_KEY: SECRET }, forms).own)).toEqual([SECRET])
})

test('no line of the log holds a secret, in whichever field it was written', async () => {
  const logger = new URL('../../src/process/logger.ts', import.meta.url).href
  const secrets = JSON.stringify([SECRET, 'with"quote\\s'])
  const script = `
    const { createLogger } = await import(${JSON.stringify(logger)})
    const secrets = ${secrets}
    const log = await createLogger('info', { terminal: false, production: false, secrets })
    for (const secret of secrets) {
      log.info({ header: 'Bearer ' + secret }, 'sent ' + secret)
      log.error({ err: new Error('refused: ' + secret) }, 'failed')
      log.child({ [secret]: 1 }).warn('odd')
    }`
  const child = node(['--input-type=module', '-e', script])
  expect(await child.ended).toBe(0)
  expect(child.output.out.match(/\[secret\]/g)?.length).toBeGreaterThanOrEqual(8)
  expect(child.output.out).not.toMatch(/mail-service|quote/)
})
