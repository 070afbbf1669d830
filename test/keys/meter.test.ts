import { expect, test } from 'vitest'
import { type AppKey, appKeys } from '../../src/keys/known-keys.ts'
import { createMeter } from '../../src/keys/meter.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import type { Queries } from '../../src/storage/database.ts'
import { type ManualClock, manualClock } from '../helpers/clock.ts'
import { testDatabase } from '../helpers/database.ts'
import { connectionsOf, idOf, recordKeys, saveConnections, sealerOf, tokenSet } from '../helpers/sealed.ts'
import { until } from '../helpers/wait.ts'

const A = 'A_WEBHOOK_SECRET'
const [HOUR, DAY] = [3_600_000, 24 * 3_600_000]
const secret = (current: string, previous?: string): AppKey => ({
  variable: A,
  current: [current],
  previous: previous === undefined ? undefined : [previous],
  quietMs: DAY,
})

function logOf() {
  const lines: string[] = []
  const line = (level: string) => (_fields: object, text: string) => void lines.push(`${level} ${text}`)
  return { lines, log: { info: line('info'), warn: line('warn'), error: line('error') } }
}

/** Makes the meter of one process. */
function process(query: Queries, clock: ManualClock, keys: AppKey[], sealer = sealerOf(1)) {
  const { lines, log } = logOf()
  const meter = createMeter({ query, keys, sealer, log, clock: createSteadyClock(clock) }, clock)
  const stop = new AbortController()
  return {
    ...meter,
    lines,
    note: meter.noteUse(A),
    async run() {
      const watching = meter.watch(stop.signal)
      await until(() => clock.sleepers().includes(60_000))
      return async () => {
        stop.abort()
        await watching
      }
    },
  }
}

const rowsOf = (query: Queries) =>
  query.selectFrom('key_uses').selectAll().orderBy('variable').orderBy('fingerprint').execute()

test('however many uses of a key there are, one row is written once a minute; what is not stored yet is known all the same', async () => {
  const [{ query }, clock] = [await testDatabase(), manualClock()]
  const began = clock.now()
  const one = process(query, clock, [secret('new', 'old')])
  const stop = await one.run()
  const stored = async () => (await rowsOf(query)).map(row => [row.fingerprint, row.since, row.last_used_at])
  expect(await stored()).toEqual([
    ['new', began, 0],
    ['old', began, 0],
  ])
  for (let i = 0; i < 1_000; i++) {
    clock.advance(1)
    one.note('previous')
  }
  const last = clock.now()
  expect((await one.changes())[0]?.previous).toEqual({ since: began, lastUsedAt: last })
  expect(await stored()).toEqual([
    ['new', began, 0],
    ['old', began, 0],
  ])
  clock.advance(60_000)
  await until(async () => (await stored())[1]?.[2] === last)
  expect(await stored()).toEqual([
    ['new', began, 0],
    ['old', began, last],
  ])
  await stop()
})

test('of several processes the latest use counts; a restart forgets nothing; a clock behind takes nothing back', async () => {
  const [{ query }, clock] = [await testDatabase(), manualClock()]
  const [one, two] = [process(query, clock, [secret('new', 'old')]), process(query, clock, [secret('old')])]
  await Promise.all([one.flush(), two.flush()])
  one.note('previous')
  clock.advance(5_000)
  // It has only the old one, which is its current one.
  two.note('current')
  const latest = clock.now()
  await Promise.all([one.flush(), two.flush()])
  expect((await one.changes())[0]?.previous?.lastUsedAt).toBe(latest)
  const restarted = process(query, clock, [secret('new', 'old')])
  clock.advance(-3_600_000)
  restarted.note('previous')
  await restarted.flush()
  expect((await restarted.changes())[0]?.previous?.lastUsedAt).toBe(latest)
})

test('the next change begins with what is known of its own keys: a name is of one key, whatever its role', async () => {
  const [{ query }, clock] = [await testDatabase(), manualClock()]
  const first = process(query, clock, [secret('two', 'one')])
  first.note('previous')
  clock.advance(1_000)
  first.note('current')
  const secondUsed = clock.now()
  await first.flush()
  clock.advance(DAY)
  const next = process(query, clock, [secret('three', 'two')])
  await next.flush()
  expect((await next.changes())[0]).toMatchObject({
    current: { since: clock.now(), lastUsedAt: 0 },
    previous: { lastUsedAt: secondUsed },
    verdict: 'new_unused',
  })
})

test('an encryption key that is given twice, in two spellings, is no change', () => {
  const [key] = appKeys({ secrets: {}, verifyToken: undefined }, sealerOf(1, 1)).slice(-1)
  expect(key).toMatchObject({ variable: 'ENCRYPTION_KEY', previous: undefined })
})

test('names made with the encryption key before the last one are known, and written anew', async () => {
  const [{ query }, clock] = [await testDatabase(), manualClock()]
  const names = (sealer: ReturnType<typeof sealerOf>, text: string) => sealer.fingerprints(text)
  const [before, both] = [sealerOf(1), sealerOf(2, 1)]
  const held = (sealer: typeof both): AppKey => ({
    ...secret('', ''),
    current: names(sealer, 'new'),
    previous: names(sealer, 'old'),
  })
  const one = process(query, clock, [held(before)])
  one.note('previous')
  const used = clock.now()
  await one.flush()
  clock.advance(1_000)
  const two = process(query, clock, [held(both)], both)
  await two.flush()
  expect((await two.changes())[0]?.previous).toEqual({ since: used, lastUsedAt: used })
  two.note('previous')
  await two.flush()
  expect((await two.changes())[0]?.previous?.lastUsedAt).toBe(clock.now())
  expect(await rowsOf(query)).toHaveLength(4)
  for (const row of await rowsOf(query)) expect(row.fingerprint).toMatch(/^[0-9a-f]{16}$/)
})

const sealing = (current: number, previous?: number): AppKey => {
  const [now = '', before] = sealerOf(current, previous).keys
  return {
    variable: 'ENCRYPTION_KEY',
    current: [now],
    previous: before === undefined ? undefined : [before],
  }
}

test('the state of the encryption key has what is left under the old one, when that last opened something, and when it can go', async () => {
  const [{ query }, clock] = [await testDatabase(), manualClock(Date.now())]
  await saveConnections(query, sealerOf(1), 2)
  const both = sealerOf(2, 1)
  const one = process(query, clock, [sealing(2, 1)], both)
  await one.flush()
  const state = async () => (await one.states())[0]
  expect(await state()).toMatchObject({ left: 4, verdict: 'values_left', previous: { lastUsedAt: 0 } })
  clock.advance(1_000)
  const connections = connectionsOf(query, one.sealer)
  await connections.open(idOf(1))
  expect(await state()).toMatchObject({ left: 2, previous: { lastUsedAt: clock.now() } })
  await connections.open(idOf(2))
  expect(await state()).toMatchObject({ left: 0, verdict: 'in_use' })
  clock.advance(300_001)
  expect(await state()).toMatchObject({ left: 0, verdict: 'clock_new' })
  clock.advance(HOUR)
  expect(await state()).toMatchObject({ left: 0, verdict: 'removable' })
  await connections.save(tokenSet(3))
  await connections.open(idOf(3))
  expect(await state()).toMatchObject({ verdict: 'removable', current: { lastUsedAt: clock.now() } })
})

test('a process that still seals with the old key says so while it runs: the old one has to stay', async () => {
  const [{ query }, clock] = [await testDatabase(), manualClock()]
  await recordKeys(query, sealerOf(1), clock)
  const old = process(query, clock, [sealing(1)])
  await old.run()
  await recordKeys(query, sealerOf(2, 1), clock)
  const one = process(query, clock, [sealing(2, 1)], sealerOf(2, 1))
  await one.flush()
  const verdict = async () => (await one.states())[0]?.verdict
  for (let minute = 0; minute < 10; minute++) {
    clock.advance(60_000)
    const now = clock.now()
    await until(async () => (await rowsOf(query)).some(row => row.last_used_at === now))
    await until(() => clock.sleepers().includes(60_000))
    expect(await verdict()).toBe('in_use')
  }
  expect(old.lines).toEqual(['warn another process has a new ENCRYPTION_KEY: restart this one with it'])
})

test('a key that is being changed is logged at the start, and when the clock is believed: as a warning when it can go', async () => {
  const [{ query }, clock] = [await testDatabase(), manualClock()]
  const first = process(query, clock, [secret('new', 'old')])
  const stop = await first.run()
  expect(first.lines).toEqual([
    expect.stringMatching(/^info A_WEBHOOK_SECRET: the previous one has not been used/),
  ])
  clock.advance(DAY + 1)
  first.note('current')
  await stop()
  await first.flush()
  const second = process(query, clock, [secret('new', 'old')])
  const end = await second.run()
  expect(second.lines).toEqual([expect.stringMatching(/^info A_WEBHOOK_SECRET: .* Keep it until the clock/)])
  clock.advance(HOUR)
  await until(() => second.lines.length === 2)
  expect(second.lines[1]).toMatch(/^warn A_WEBHOOK_SECRET: .* Safe to remove: delete A_WEBHOOK/)
  await end()
})

test('a store that fails is logged, and the next minute stores the uses that were noted', async () => {
  const [{ query }, clock] = [await testDatabase(), manualClock()]
  await query.schema.alterTable('key_uses').renameTo('elsewhere').execute()
  const one = process(query, clock, [secret('new', 'old')])
  const stop = await one.run()
  one.note('previous')
  const used = clock.now()
  expect(one.lines).toEqual(['error cannot store which keys are in use; trying again'])
  await query.schema.alterTable('elsewhere').renameTo('key_uses').execute()
  clock.advance(60_000)
  await until(async () => (await rowsOf(query)).some(row => row.last_used_at === used))
  await stop()
})

test.each([HOUR, 31 * DAY, 730 * DAY, -HOUR, -31 * DAY])(
  'a clock that is set by %d ms while it runs lets no key go that is in use',
  async by => {
    const [{ query }, own] = [await testDatabase(), manualClock()]
    let set = 0
    const clock = { ...own, now: () => own.now() + set }
    const one = process(query, clock, [secret('new', 'old')])
    own.advance(2 * HOUR)
    one.note('previous')
    set = by
    one.note('current')
    await one.flush()
    set = 0
    one.note('previous')
    await one.flush()
    own.advance(2 * HOUR)
    expect((await one.changes())[0]?.verdict).toBe('in_use')
  },
)

test('what a process has noted under a clock that was ahead at its start is counted anew', async () => {
  const [{ query }, own] = [await testDatabase(), manualClock()]
  const ahead = process(query, { ...own, now: () => own.now() + 31 * DAY }, [secret('new', 'old')])
  ahead.note('previous')
  ahead.note('current')
  await ahead.flush()
  const right = process(query, own, [secret('new', 'old')])
  await right.run()
  own.advance(HOUR)
  const anew = own.now()
  await until(async () => (await rowsOf(query)).every(row => row.since === anew && row.last_used_at === anew))
  own.advance(DAY + 1)
  right.note('current')
  expect((await right.changes())[0]?.verdict).toBe('removable')
})
