import { expect, test } from 'vitest'
import { createSealer } from '../../src/keys/sealing.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { createRefreshLeases, type RefreshLeases } from '../../src/oauth/refresh-lease.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import { testDatabase } from '../helpers/database.ts'
import { virtualTime } from '../helpers/virtual-time.ts'

const key = { eventId: 'evt_a', organizationId: 'org_1' }
const lifetimes = { expiresIn: undefined, refreshExpiresIn: undefined, scope: undefined }
const MINUTE = 60_000
const [HOUR, DAY] = [60 * MINUTE, 24 * 60 * MINUTE]
const FAR = [HOUR, 31 * DAY, 730 * DAY].flatMap(ms => [ms, -ms])
const JUMPS = [1.5 * MINUTE, -3 * MINUTE, ...FAR]

/** Two processes on one store, each with its clocks, after each has seen the connection. */
async function twoProcesses() {
  const [here, there] = [virtualTime(), virtualTime()]
  const { query } = await testDatabase(here.runtime)
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, here.runtime)
  const process = ({ runtime }: typeof here) =>
    createRefreshLeases(query, sealer, runtime, createSteadyClock(runtime), 'real')
  const log = { error() {}, warn() {} }
  const connections = createConnections(query, sealer, here.runtime, { log, platform: 'real' })
  await connections.save({ accessToken: 'access', refreshToken: 'refresh', ...lifetimes, ...key })
  return {
    holder: process(here),
    other: process(there),
    start: () => process(there),
    jump: (ms: number) => [here, there].map(time => time.jump(ms)),
    apart: (ms: number) => here.jump(ms),
    pass: async (ms: number) => void (await Promise.all([here.pass(ms), there.pass(ms)])),
  }
}

const taken = async (leases: RefreshLeases) => (await leases.take(key, 1)).kind
const unaccounted = { failure: 'upstream_timeout', unaccounted: true, failures: 1, failingSince: 1 } as const

test.for(JUMPS)('a jump of %d ms frees no lease while its request may be under way', async by => {
  const { holder, other, jump, pass } = await twoProcesses()
  expect(await taken(holder)).toBe('taken')
  await pass(1_000)
  jump(by)
  expect(await taken(other)).toBe('busy')
  await pass(14_999)
  expect(await taken(other)).toBe('busy')
  // The holder has died: after its lease, what it sent may be at work for another 30 s.
  await pass(1)
  expect(await other.take(key, 1)).toMatchObject({ kind: 'postponed', ms: 30_000 })
  await pass(30_000)
  expect(await taken(other)).toBe('taken')
})

test.for(JUMPS)('a jump of %d ms ends no wait for a request that may be under way', async by => {
  const { holder, other, jump, pass } = await twoProcesses()
  const first = await holder.take(key, 1)
  if (first.kind !== 'taken') return expect.unreachable()
  await holder.release(first.lease, { ...unaccounted, pauseMs: 30_000 })
  await pass(1_000)
  jump(by)
  expect([await taken(holder), await taken(other)]).toEqual(['postponed', 'postponed'])
  await pass(28_999)
  expect(await taken(holder)).toBe('postponed')
  // The process that wrote the lease knows its moment; one that read it a second later waits a second longer.
  await pass(1_001)
  expect(await taken(other)).toBe('taken')
})

test.for(FAR)('a process %d ms ahead holds its lease for the others too', async by => {
  const { holder, other, apart, pass } = await twoProcesses()
  apart(by)
  expect(await taken(holder)).toBe('taken')
  expect(await taken(other)).toBe('busy')
  await pass(45_000)
  expect(await taken(other)).toBe('taken')
})

test('a lease of a process that died within the last minute ends when it was to end', async () => {
  const { holder, start, pass } = await twoProcesses()
  expect(await taken(holder)).toBe('taken')
  await pass(44_999)
  expect(await taken(start())).toBe('postponed')
  await pass(1)
  expect(await taken(start())).toBe('taken')
})

test('a lease of a process that died long ago is believed to be old after its own length', async () => {
  const { holder, start, pass } = await twoProcesses()
  expect(await taken(holder)).toBe('taken')
  await pass(DAY)
  const fresh = start()
  expect(await taken(fresh)).toBe('busy')
  await pass(45_000)
  expect(await taken(fresh)).toBe('taken')
})

test('a wait that a process noted itself is over when it was to be, however late it looks', async () => {
  const { holder, pass } = await twoProcesses()
  const first = await holder.take(key, 1)
  if (first.kind !== 'taken') return expect.unreachable()
  await holder.release(first.lease, { ...unaccounted, pauseMs: 5_000 })
  await pass(DAY)
  expect(await taken(holder)).toBe('taken')
})
