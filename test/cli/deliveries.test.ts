import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { onFile } from '../helpers/database.ts'
import { insertDelivery } from '../helpers/deliveries.ts'
import { testFolder } from '../helpers/folder.ts'
import { seedEvent } from '../helpers/seed.ts'
import { typed } from '../helpers/typed.ts'
import { until } from '../helpers/wait.ts'
import { type Bench, bench, stopNow } from '../webhooks/dispatch/dispatching.ts'

const CLI = fileURLToPath(new URL('../../src/cli/operate/deliveries.ts', import.meta.url))

const run = (b: Bench | undefined, ...args: string[]) => runAs({}, b, ...args)

const runAs = (settings: Record<string, string>, b: Bench | undefined, ...args: string[]) =>
  typed(CLI, args, { env: b ? { ...settings, DATABASE_URL: b.database.url } : settings })

/** The same as a process of its own, with a pipe to read it from. */
async function runProcess(b: Bench, ...args: string[]) {
  const child = node([CLI, ...args], { cwd: testFolder(), env: { DATABASE_URL: b.database.url } })
  const code = await child.ended
  return { code, out: child.output.out }
}

/** Three deliveries: 1 done at its second run, with a refresh; 2 dead; 3 a repeat of 1. */
async function threeDeliveries() {
  const b = await bench()
  const dispatcher = b.dispatcher({
    run: async ({ id, attempt }, _signal, note) => {
      const at = b.clock.now()
      if (id === 2) throw new TypeError('name is \u001b[31mmissing')
      if (attempt === 1) {
        note({ at, ms: 31, what: 'GET /events/evt_1/participants', result: '503', request_id: 'req-1' })
        throw new Error('later')
      }
      note({ at, ms: 12, what: 'token refresh', result: 'ok' })
      note({ at, ms: 8, what: 'GET /events/evt_1/participants', result: '200', request_id: 'req-2' })
    },
  })
  await b.append({ id: 'evt_first' })
  await b.append({ type: 'b.type' })
  for (let attempt = 1; attempt <= 8; attempt++) {
    const waiting = async () => {
      const row = await b.row(2)
      return row.attempts === attempt && row.lease_owner === null
    }
    while (!(await waiting())) await new Promise(resolve => setTimeout(resolve, 5))
    b.clock.advance(50_000_000)
    dispatcher.arrived()
  }
  await b.reaches(1, 'done')
  await b.reaches(2, 'dead')
  await b.append({ id: 'evt_first' })
  await b.reaches(3, 'duplicate')
  await dispatcher.stop(0)
  return b
}

test('list --json has one object a line, newest first, with the promised fields in their order', async () => {
  const b = await threeDeliveries()
  const { code, out } = await run(b, 'list', '--json')
  expect(code).toBe(0)
  const lines = out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  expect(lines.map(line => [line.id, line.state, line.attempts, line.duplicate_of])).toEqual([
    ['3', 'duplicate', 0, '1'],
    ['2', 'dead', 8, null],
    ['1', 'done', 2, null],
  ])
  const fields =
    'id provider delivery_id type event_id state attempts received_at finished_at last_error duplicate_of'
  for (const line of lines) expect(Object.keys(line)).toEqual(fields.split(' '))
})

test('list narrows by state, provider and number', async () => {
  const b = await threeDeliveries()
  const ids = async (...args: string[]) => {
    const { out } = await run(b, 'list', '--json', ...args)
    return out
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line).id)
  }
  expect(await ids('--state', 'dead')).toEqual(['2'])
  expect(await ids('--limit', '2')).toEqual(['3', '2'])
  expect(await ids('--provider', 'barker')).toEqual([])
  expect(await ids('--provider', 'revento', '--state', 'done')).toEqual(['1'])
  expect((await run(b, 'list', '--state', 'parked')).out).toBe('No delivery matches.\n')
})

test('list is a table for people, without control characters from elsewhere', async () => {
  const b = await threeDeliveries()
  const { out } = await run(b, 'list')
  expect(out.split('\n')[0]).toMatch(/^ID +STATE +TYPE +PROVIDER +RUNS +RECEIVED +NOTE$/)
  expect(out).toMatch(/^2 +dead +b\.type +revento +8 +\S+ +TypeError: name is \\u001b\[31mmissing$/m)
  expect(out).toMatch(/^3 +duplicate .* of 1$/m)
})

test('show tells the story: runs, calls with their request ids, refreshes, result', async () => {
  const b = await threeDeliveries()
  const { out } = await run(b, 'show', '1')
  const told = out.split('\n').flatMap(line => (/^ +at /.test(line) ? [] : [line.replace(/^\S+Z +/, '')]))
  expect(out).toMatch(/^ {30}at .*deliveries\.test\.ts/m)
  expect(told).toEqual([
    'Delivery 1: a.type from revento is done',
    '  event evt_1',
    '  organization org_1',
    '  delivery id none',
    '  envelope evt_first',
    '',
    'received, stored and acknowledged',
    'run 1 begins',
    'GET /events/evt_1/participants: 503, 31 ms  request id req-1',
    'run 1 failed after 0 ms; it ran again 13.9 h later: Error: later',
    'run 2 begins',
    'token refresh: ok, 12 ms',
    'GET /events/evt_1/participants: 200, 8 ms  request id req-2',
    'run 2 is done after 0 ms',
    'done',
    '',
    'Payload:',
    '{}',
    '',
    'In the log: lines with "delivery":1',
    '',
  ])
  expect((await run(b, 'show', '3')).out).toContain('a repeat of delivery 1: nothing ran')
  expect((await run(b, 'show', '2')).out).toContain('npm run -s deliveries -- replay 2')
})

test('show in development has the payload, its numbers as signed, and no controls; in production neither', async () => {
  const b = await bench()
  const dispatcher = b.dispatcher({ run: () => Promise.reject(new TypeError('no')) })
  await b.append()
  const payload = '{"n":9007199254740993123,\n"t":"\u009b2J"}'
  await b.database.query
    .updateTable('deliveries')
    .set({ body: Buffer.from(payload) })
    .execute()
  const { next_at } = await until(async () => {
    const row = await b.row(1)
    return row.attempts === 1 && row.lease_owner === null && row
  })
  await stopNow(dispatcher, b.clock)
  const { out } = await run(b, 'show', '1')
  const wait = Math.round((next_at - b.clock.now()) / 100) / 10
  expect(out).toContain(`run 1 failed after 0 ms; it runs again in ${wait} s: TypeError: no`)
  expect(out).toContain('Payload:\n{"n":9007199254740993123,\n"t":"\\u009b2J"}\n')
  expect(JSON.parse((await run(b, 'show', '1', '--json')).out)).toMatchObject({ payload })
  const production = {
    NODE_ENV: 'production',
    REVENTO_CLIENT_ID: 'client-1',
    REVENTO_CLIENT_SECRET: 'client-secret',
    REVENTO_WEBHOOK_SECRET: 'webhook-1',
    REVENTO_REDIRECT_URI: 'https://app.test/callback',
    ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
  }
  for (const args of [[], ['--json']]) {
    const shown = await runAs(production, b, 'show', '1', ...args)
    expect([shown.code, shown.err]).toEqual([0, ''])
    expect(shown.out).not.toMatch(/Payload|payload|9007199254740993123/)
  }
})

test("show takes the sender's id as well", async () => {
  const b = await threeDeliveries()
  expect((await run(b, 'show', 'evt_first', '--json')).out).toMatch(/^{"id":"1"/)
  expect(await run(b, 'show', 'evt_other')).toMatchObject({
    code: 1,
    err: expect.stringContaining('No delivery'),
  })
})

test('a dead delivery asked for twice at once is replayed once, and then runs', async () => {
  const b = await threeDeliveries()
  const answers = await Promise.all([1, 2, 3].map(() => runProcess(b, 'replay', '2')))
  expect(answers.map(answer => answer.code).sort()).toEqual([0, 1, 1])
  for (const answer of answers.filter(({ code }) => code === 1))
    expect(answer.out).toContain('Delivery 2 is pending: only dead ones')
  const ran: number[] = []
  b.dispatcher({
    run: async ({ id }) => {
      ran.push(id)
    },
  })
  await b.reaches(2, 'done')
  expect(ran).toEqual([2])
  expect(await run(b, 'replay', '2')).toMatchObject({ code: 1, out: expect.stringContaining('is done') })
})

test('--help tells of all three commands, and needs no database', async () => {
  const { code, out } = await run(undefined, '--help')
  expect(code).toBe(0)
  for (const command of ['list', 'show ID', 'replay ID']) expect(out).toContain(command)
  expect(await run(undefined)).toMatchObject({ code: 0, out })
})

test.each([
  [['list', '--state', 'lost'], '--state takes one of: pending'],
  [['list', '--limit', '0'], '--limit takes a number'],
  [['list', '--provider', 'x'], '--provider takes one of: revento'],
  [['list', 'more'], 'one word too many'],
  [['show'], 'show needs the ID'],
  [['burn', '1'], 'There is no command burn'],
  [['list', '--colour'], "Unknown option '--colour'"],
  [['show', '7'], 'check DATABASE_URL'],
])('%j says what is wrong, and where help is', async (args, text) => {
  const { code, err } = await run(undefined, ...args)
  expect(code).toBe(1)
  expect(err).toContain(text)
  expect(err).toContain('--help')
})

const put = (b: Bench, sql: string) => onFile(b.database, file => file.exec(sql))

// part: senders {
test('a delivery whose sender waited for its answer is found by its id, and not promised to run again', async () => {
  const b = await bench()
  const row = { provider: 'aghanim', envelope_id: 'whevt_1', type: 'player.verify', state: 'dead' } as const
  await insertDelivery(b.database.query, { ...row, finished_at: 1, body: Buffer.from('{}') })
  const { code, out } = await run(b, 'show', 'whevt_1')
  expect([code, out]).toEqual([0, expect.stringContaining('is dead')])
  expect(out).not.toContain('replay')
  expect(await run(b, 'replay', '1')).toMatchObject({ code: 1, out: expect.stringContaining('ask again') })
  expect((await b.row(1)).state).toBe('dead')
})
// part: senders }

test('show says of a delivery that runs whether its process can still be alive', async () => {
  const b = await bench()
  for (const next_at of [Date.now() + 30_000, Date.now() - 1])
    await insertDelivery(b.database.query, { state: 'running', next_at, body: Buffer.from('{}') })
  expect((await run(b, 'show', '1')).out).toContain('Its handler runs now.')
  expect((await run(b, 'show', '2')).out).toContain('Its process ended')
})

test('a list of fifty thousand deliveries is printed whole', async () => {
  const b = await bench()
  const row = {
    rows: 50_000,
    state: 'done',
    eventId: 'evt_1',
    organizationId: 'org_1',
    bodyBytes: 0,
  } as const
  await seedEvent(b.database.store, { ...row, receivedAt: 1 })
  const { code, out } = await runProcess(b, 'list', '--limit', '999999')
  expect([code, out.split('\n').length]).toEqual([0, 50_002])
})

test('the commands say as it is what is wrong with the database', async () => {
  const b = await bench()
  await put(b, `insert into kysely_migration values ('999-later', '2030-01-01T00:00:00Z')`)
  expect(await run(b, 'replay', '1')).toMatchObject({
    code: 1,
    err: expect.stringContaining('newer version'),
  })
  const folder = testFolder()
  writeFileSync(join(folder, 'x.db'), 'not a database, but long enough to be looked at: '.repeat(200))
  const { code, err } = await typed(CLI, ['list'], { cwd: folder, env: { DATABASE_URL: 'sqlite:x.db' } })
  expect([code, err]).toEqual([1, expect.stringContaining('not_a_database')])
  expect(err).not.toContain('in a moment')
})
