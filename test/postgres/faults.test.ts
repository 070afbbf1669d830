import { expect, inject, test } from 'vitest'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { transaction } from '../../src/storage/sql.ts'
import { freePort } from '../helpers/ports.ts'
import { rounds } from '../helpers/rounds.ts'
import { until } from '../helpers/wait.ts'
import { createStage, expectNothingLost } from './faults-stage.ts'

/** A crashed server, a standby, a silent network and more: test/lab/postgres-faults.test.ts. */
const { at, start, cut } = createStage(() => inject('postgres').url)

test('backends that are terminated under load: 200 or 503, and every 200 is stored', {
  timeout: 60_000,
}, async () => {
  const app = await start()
  const statuses: number[] = []
  const ended = new AbortController()
  const sender = async () => {
    while (!ended.signal.aborted) statuses.push((await app.send()).status)
  }
  const senders = Array.from({ length: 8 }, sender)
  for (let i = 0; i < rounds(3); i++) {
    const before = statuses.length
    await cut(app)
    await until(() => statuses.length > before + 8)
  }
  ended.abort()
  await Promise.all(senders)
  expect([...new Set(statuses)].toSorted((a, b) => a - b)).toEqual(
    statuses.includes(503) ? [200, 503] : [200],
  )
  expect(await app.recovers()).toBeLessThan(5_000)
  await expectNothingLost(app, statuses.filter(status => status === 200).length)
})

test('a transaction whose connection is lost before its commit runs again, and leaves one trace', async () => {
  const app = await start()
  let runs = 0
  await transaction(app.database.query, async trx => {
    const row = { address: `run ${++runs}`, registered_at: 0 }
    await trx.insertInto('handshake_callers').values(row).execute()
    if (runs === 1) await cut(app)
    await trx.selectFrom('handshake_callers').selectAll().execute()
  })
  expect(await app.database.query.selectFrom('handshake_callers').select('address').execute()).toEqual([
    { address: 'run 2' },
  ])
})

test.for([
  [
    'a port where nobody listens',
    async () => `postgres://app:canary@127.0.0.1:${await freePort()}/x`,
    'database_unreachable',
  ],
  ['a database that is not there', async () => at('not_there'), 'database_missing'],
] as const)('%s is told when it is opened', async ([, url, code]) => {
  const opened = openDatabase({ kind: 'postgres', url: await url() }, runtime)
  await expect(opened).rejects.toMatchObject({ name: 'StorageError', code })
})
