import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import type { Job } from '../../src/builder/job.ts'
import { createJobRows } from '../../src/builder/job-rows.ts'
import { checkJobs, everyMs, startJobs } from '../../src/builder/jobs.ts'
import { createDescribeError } from '../../src/process/errors.ts'
import { startApp } from '../helpers/app.ts'
import { node } from '../helpers/child.ts'
import { type ManualClock, manualClock } from '../helpers/clock.ts'
import { type TestDatabase, testDatabase } from '../helpers/database.ts'
import { testFolder } from '../helpers/folder.ts'
import { until } from '../helpers/wait.ts'

/** Starts an instance that runs these jobs; the test moves its clock. */
function instance({ query }: TestDatabase, jobs: readonly Job[], clock: ManualClock) {
  const lines: string[] = []
  const counted: string[] = []
  const write = (_: object, message: string) => void lines.push(message)
  const log = { info: write, warn: write, error: write, child: () => log }
  const rows = createJobRows(query, 'real')
  const running = startJobs(
    {
      jobs,
      rows,
      own: () => ({}) as never,
      revento: () => ({}) as never,
      count: (name, outcome) => void counted.push(`${name} ${outcome}`),
      describeError: createDescribeError(false),
      log,
    },
    clock,
  )
  onTestFinished(running.stop)
  return { lines, counted, rows, stop: running.stop }
}
/** Everybody looks once more, and once again for what the first look has freed. */
async function pass(clock: ManualClock, ms: number, instances = 1): Promise<void> {
  for (const step of [ms, 2_000]) {
    await until(() => clock.sleepers().filter(sleep => sleep === 2_000).length >= instances)
    clock.advance(step)
  }
  await until(() => clock.sleepers().filter(sleep => sleep === 2_000).length >= instances)
}
const HOUR = 3_600_000
const REAL = {
  REVENTO_CLIENT_ID: 'client',
  REVENTO_CLIENT_SECRET: 'client-secret-0123',
  REVENTO_WEBHOOK_SECRET: 'webhook-secret-0123',
}

test('a job runs soon after the first start, then at its interval; what it throws is counted, logged, kept, and tried again', async () => {
  const database = await testDatabase()
  const clock = manualClock()
  let runs = 0
  const run = async () => {
    runs += 1
    if (runs === 2) throw new RangeError('no such seat')
  }
  const { lines, counted, rows } = instance(database, [{ name: 'seats', every: '1h', run }], clock)
  await until(() => counted.length === 1)
  await pass(clock, HOUR / 2)
  expect(counted).toEqual(['seats done'])
  await pass(clock, HOUR / 2)
  await until(() => counted.length === 2)
  expect(await rows.find('seats')).toMatchObject({
    outcome: 'failed',
    runs: 2,
    failed: 1,
    last_error: 'RangeError: no such seat',
    lease_owner: null,
  })
  await pass(clock, HOUR)
  await until(() => counted.length === 3)
  expect(counted).toEqual(['seats done', 'seats failed', 'seats done'])
  expect(lines).toEqual(['job done', 'job failed', 'job done'])
  expect(await rows.find('seats')).toMatchObject({ outcome: 'done', last_error: null })
})

test('one of several instances runs a job, and never two at once, however long it takes', async () => {
  const database = await testDatabase()
  const clock = manualClock()
  const done = Promise.withResolvers<void>()
  let [now, most, runs] = [0, 0, 0]
  const run = async () => {
    runs += 1
    now += 1
    most = Math.max(most, now)
    await done.promise
    now -= 1
  }
  const all = Array.from({ length: 4 }, () =>
    instance(database, [{ name: 'seats', every: '30s', run }], clock),
  )
  await until(() => runs === 1)
  // The lease is renewed while it runs: beyond its length nobody takes it for missed.
  for (let i = 0; i < 6; i++) {
    await until(() => clock.sleepers().includes(10_000))
    clock.advance(10_000)
    await until(async () => ((await all[0]?.rows.find('seats'))?.lease_until ?? 0) >= clock.now() + 20_000)
  }
  expect([runs, most]).toEqual([1, 1])
  done.resolve()
  await until(() => all.some(({ counted }) => counted.length > 0))
  expect([runs, all.flatMap(({ counted }) => counted)]).toEqual([1, ['seats done']])
})

test('the run of a job whose process was killed is missed: it is said and counted once, and the job runs in its turn', async () => {
  const database = await testDatabase()
  const clock = manualClock()
  const rows = createJobRows(database.query, 'real')
  await rows.add('seats')
  const row = await rows.find('seats')
  if (!row) throw new Error('the row is there')
  const killed = await rows.claim(row, { owner: 'killed', now: clock.now(), leaseMs: 30_000 })
  let runs = 0
  const job: Job = { name: 'seats', every: '1h', run: async () => void runs++ }
  const instances = [instance(database, [job], clock), instance(database, [job], clock)]
  const counted = () => instances.flatMap(i => i.counted)
  await pass(clock, 20_000, 2)
  expect(counted()).toEqual([])
  await pass(clock, 10_000, 2)
  await until(() => counted().length > 0)
  expect([counted(), runs]).toEqual([['seats missed'], 0])
  expect(await rows.find('seats')).toMatchObject({ outcome: 'missed', missed: 1, lease_owner: null })
  // A late word of the process that was thought dead changes nothing.
  if (killed) await rows.end(killed, { outcome: 'done', error: null, now: clock.now() })
  expect(await rows.find('seats')).toMatchObject({ outcome: 'missed' })
  await pass(clock, HOUR, 2)
  await until(() => counted().length === 2)
  expect([counted().toSorted(), runs]).toEqual([['seats done', 'seats missed'], 1])
})

test('a lease that a clock ahead has noted, and ended with its process, keeps the job from nobody', async () => {
  const database = await testDatabase()
  const clock = manualClock()
  const rows = createJobRows(database.query, 'real')
  await rows.add('seats')
  const row = await rows.find('seats')
  if (!row) throw new Error('the row is there')
  await rows.claim(row, { owner: 'ahead', now: clock.now() + 31 * 24 * HOUR, leaseMs: 30_000 })
  let runs = 0
  const job: Job = { name: 'seats', every: '1h', run: async () => void runs++ }
  const { counted } = instance(database, [job], clock)
  await pass(clock, 2_000)
  await until(() => counted.length === 2)
  expect([counted, runs]).toEqual([['seats missed', 'seats done'], 1])
})

test('at the stop a job is told to end, which is no failure, and it runs again after the start', async () => {
  const database = await testDatabase()
  const clock = manualClock()
  let runs = 0
  const run: Job['run'] = ({ signal }) => {
    runs += 1
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
  const job: Job = { name: 'seats', every: '1d', run }
  const first = instance(database, [job], clock)
  await until(() => runs === 1)
  await first.stop()
  expect([first.counted, first.lines]).toEqual([[], []])
  expect(await first.rows.find('seats')).toMatchObject({ runs: 0, started_at: null, lease_owner: null })
  instance(database, [job], clock)
  await until(() => runs === 2)
})

test('a job that hangs or throws keeps no other job and no delivery from running', async () => {
  const clock = manualClock()
  const ran: string[] = []
  const jobs: Job[] = [
    { name: 'hangs', every: '1h', run: () => new Promise(() => {}) },
    {
      name: 'throws',
      every: '1h',
      run: () => {
        throw new Error('at once')
      },
    },
    {
      name: 'works',
      every: '1h',
      run: async ({ revento }) => void ran.push(String((await revento.connections()).length)),
    },
  ]
  const app = await startApp({ handlers: { revento: {} }, integration: { jobs } })
  onTestFinished(() => app.close())
  await until(() => ran.length > 0)
  expect(ran).toEqual(['0'])
  expect((await fetch(`${app.url}/ready`)).status).toBe(200)
  expect(clock.now()).toBeGreaterThan(0)
})

test('npm run jobs lists how the jobs went', async () => {
  const database = await testDatabase()
  const clock = manualClock()
  const run = () => Promise.reject(new RangeError('no such seat'))
  const { counted } = instance(database, [{ name: 'seats', every: '1h', run }], clock)
  await until(() => counted.length === 1)
  const command = fileURLToPath(new URL('../../src/cli/operate/jobs.ts', import.meta.url))
  const env = { DATABASE_URL: database.url, ...REAL }
  const list = node([command], { cwd: testFolder(), env })
  expect([await list.ended, list.output.err]).toEqual([0, ''])
  expect(list.output.out.split('\n')[1]?.split(/ {2,}/)).toEqual([
    ...['seats', 'failed', '2026-05-09T12:00:00Z', 'never: not listed', '1', '1', '0'],
    'RangeError: no such seat',
  ])
})

test('a wrong list of jobs stops the start, which says every mistake', () => {
  const run = async () => {}
  const jobs = [
    { name: 'Seats', every: '1h', run },
    { name: 'seats', every: '1h', run },
    { name: 'seats', every: '1h', run },
    { name: 'chairs', every: '90', run },
  ] as unknown as Job[]
  expect(() => checkJobs(jobs)).toThrow(
    /"Seats" is no name of a job.*\n.*two jobs are called "seats".*\n.*the job "chairs" has every: '90'/,
  )
  for (const wrong of ['', '0s', '-1m', '1.5h', '1w', '01s', '400d', '1h '])
    expect(everyMs(wrong), wrong).toBeUndefined()
  expect(['30s', '15m', '6h', '1d'].map(everyMs)).toEqual([30_000, 900_000, 21_600_000, 86_400_000])
})
