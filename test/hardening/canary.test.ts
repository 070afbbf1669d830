// part: senders
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { freePort } from '../helpers/ports.ts'
import { startUpstream } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { envelope, signedDelivery } from '../helpers/webhook.ts'
import { canary, Findings } from './canaries.ts'
import {
  beginDay,
  type Day,
  keepFiles,
  keepRequests,
  oauthDay,
  pageDay,
  webhookDay,
  withoutDatabase,
} from './canary-day.ts'

/** Written here once more, by other means than the search uses. */
const WAYS: Record<string, (text: string) => string | Buffer> = {
  'as it is': text => text,
  'in hex': text => Buffer.from(text).toString('hex'),
  'in upper-case hex': text => Buffer.from(text).toString('hex').toUpperCase(),
  'in base64': text => btoa(text),
  'in base64, one further': text => btoa(`x${text}y`),
  'in base64, two further': text => btoa(`xx${text}yy`),
  'in base64url, in an object': text => Buffer.from(`{"a":"${text}"}`).toString('base64url'),
  'in a query': text => new URLSearchParams({ a: text }).toString(),
  'percent by percent': text => [...text].map(c => `%${c.charCodeAt(0).toString(16)}`).join(''),
  'in JSON': text => JSON.stringify({ a: [text] }),
  'escaped in JSON': text =>
    [...text].map(c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''),
  'as entities': text => [...text].map(c => `&#${c.charCodeAt(0)};`).join(''),
  'as UTF-16': text => Buffer.from(text, 'utf16le'),
  'as UTF-16, the other way': text => Buffer.from(text, 'utf16le').swap16(),
  backwards: text => [...text].toReversed().join(''),
}

test.for(Object.keys(WAYS))('the search finds what is written %s', way => {
  for (const text of [
    'client-secret-0123456789abcdefZq',
    'aB+/0123456789abcdefghijklmnopqrstuvwxyzABC=',
    'xy_z-9'.repeat(5),
  ]) {
    const findings = new Findings()
    const spelled = Buffer.from(WAYS[way]?.(text) ?? '')
    findings.add('log', Buffer.concat([Buffer.from('before '), spelled, Buffer.from(' after')]))
    findings.add('database', text.slice(1))
    expect(findings.of(canary('planted', text))).toEqual(['log'])
  }
})

/** Canaries where they may not be; and those that were nowhere, though they have been somewhere they may. */
function strays({ findings, canaries }: Day): string[] {
  return canaries.flatMap(sought => {
    expect(sought.bytes.length).toBeGreaterThan(20)
    const places = findings.of(sought)
    const wrong = places.filter(place => !sought.mayBe.includes(place))
    const unmet = sought.mayBe.length > 0 && places.length === 0 ? [`${sought.name}: never met`] : []
    return [...wrong.map(place => `${sought.name}: in ${place}`), ...unmet]
  })
}

/** What an operator runs beside the app, and starts that cannot succeed. */
async function commandDay({ command, start, program, settings, canaries }: Day): Promise<void> {
  const backup = join(program.folder, 'copy.db')
  const password = `pass-word-${crypto.randomUUID()}Zq`
  canaries.push(canary('database password', password, [], true))
  const postgres = { DATABASE_URL: `postgres://somebody:${password}@127.0.0.1:${await freePort()}/nowhere` }
  const padded = Object.entries(settings).map(([name, value]) => [name, ` ${value}`])
  const inQuotes = Object.entries(settings).map(([name, value]) => [name, `'${value}'`])
  const starts = [
    postgres,
    Object.fromEntries(padded),
    Object.fromEntries(inQuotes),
    { ENCRYPTION_KEY: settings['ENCRYPTION_KEY_PREVIOUS'] ?? '' },
  ]
  expect(await Promise.all(starts.map(start))).toEqual([1, 1, 1, 1])
  const commands: [number, string, string[], Record<string, string>?][] = [
    [0, 'develop/trigger', ['revento', 'application.submitted', '--url', `${program.url}/webhooks/revento`]],
    [1, 'develop/go-live', []],
    [0, 'operate/deliveries', ['list', '--json']],
    [0, 'operate/deliveries', ['show', '1']],
    [0, 'operate/deliveries', ['capture', '1']],
    [0, 'operate/backup', [backup]],
    [0, 'operate/reseal', []],
    [1, 'operate/deliveries', ['list'], postgres],
    [1, 'operate/move', ['--to', postgres.DATABASE_URL]],
  ]
  for (const [code, name, args, env] of commands)
    expect([name, await command(name, args, env)]).toEqual([name, code])
  expect(statSync(backup).mode & 0o777).toBe(0o600)
}

/** With a umask that takes nothing away: whoever else is on the machine reads none of it. */
function expectPrivate(day: Day, files: readonly string[]): void {
  const modeOf = (name: string) => [name, (statSync(join(day.program.folder, name)).mode & 0o777).toString(8)]
  const own = files.filter(name => name.startsWith('data'))
  expect(own.length).toBeGreaterThanOrEqual(3)
  expect([...own.map(modeOf), modeOf('data')]).toEqual([...own.map(name => [name, '600']), ['data', '700']])
}

/** The last delivery: its handler fails where nobody catches it, with a token and a payload in the cause. */
async function crash({ program, settings }: Day): Promise<void> {
  const body = JSON.stringify(envelope({ type: 'activity.updated' }))
  const { headers } = signedDelivery({ secret: settings['REVENTO_WEBHOOK_SECRET'] ?? '', body })
  await createClient().post(`${program.url}/webhooks/revento`, body, headers)
  expect(await program.ended).toBe(1)
  expect(program.output.out).toContain('stopping after an error nobody caught')
}

test('no secret, token or payload comes to light in a day, whatever goes wrong', {
  timeout: 120_000,
}, async () => {
  const umask = process.umask(0)
  onTestFinished(() => void process.umask(umask))
  const upstream = await startUpstream()
  onTestFinished(() => upstream.close())
  const day = await beginDay(upstream)
  const client = await oauthDay(day, upstream)
  await webhookDay(day)
  const isRun = () => /"type":"participant.profile_updated".*"outcome":"retry"/.test(day.program.output.out)
  await until(isRun, 30_000)
  await pageDay(day, client)
  await withoutDatabase(day)
  await commandDay(day)
  expectPrivate(day, keepFiles(day))
  await crash(day)
  keepFiles(day)
  keepRequests(day, upstream)
  day.findings.add('log', day.program.output.out)
  expect(strays(day)).toEqual([])

  // What may be told is found in each place, so each place was looked into.
  const met = (text: string) => day.findings.of(canary(text, text))
  expect(new Set(met(day.settings['REVENTO_EVENT_ID'] ?? ''))).toEqual(
    new Set(['api requests', 'commands', 'database', 'log', 'other files', 'page', 'redirects']),
  )
  expect(met('state_mismatch')).toEqual(expect.arrayContaining(['answers', 'log']))
  expect(met('webhook_deliveries_total')).toEqual(['metrics'])
  for (const text of ['SyntaxError', 'AggregateError', 'test/hardening/leaking-handlers.ts:'])
    expect([text, met(text)]).toEqual([text, expect.arrayContaining(['log', 'commands', 'page'])])
})
