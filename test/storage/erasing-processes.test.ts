import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import { testDatabase } from '../helpers/database.ts'
import { storeDelivery } from '../helpers/erase.ts'
import { testFolder } from '../helpers/folder.ts'
import { type Program, startProgram } from '../helpers/program.ts'
import { CLIENT_SECRET, WEBHOOK_SECRET } from '../helpers/secrets.ts'
import { seedEvent } from '../helpers/seed.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { bench, hanging } from '../webhooks/dispatch/dispatching.ts'

const ROWS = 8_000
const EVENT = { eventId: 'evt_1', organizationId: 'org_1' }

/** `npm start` on this database, in real mode. */
const programOn = (url: string, folder: string) =>
  startProgram(
    {
      REVENTO_CLIENT_ID: 'client-for-tests',
      REVENTO_CLIENT_SECRET: CLIENT_SECRET,
      REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
      DATABASE_URL: url,
    },
    folder,
  )

async function requireDeletion(program: Program): Promise<void> {
  const about = { event_id: EVENT.eventId, organization_id: EVENT.organizationId }
  const event = { type: 'data.deletion_required', occurred_at: new Date().toISOString(), ...about, data: {} }
  const { body, headers } = signedDelivery({ event })
  expect((await fetch(`${program.url}/webhooks/revento`, { method: 'POST', body, headers })).status).toBe(200)
}

test('killed while it erases a large event, the next process erases the rest, and nothing of another', {
  timeout: 90_000,
}, async () => {
  const { query, store, url } = await testDatabase()
  const rows = { state: 'done', bodyBytes: 800, receivedAt: Date.now() } as const
  await seedEvent(store, { ...EVENT, ...rows, rows: ROWS })
  await seedEvent(store, { ...EVENT, ...rows, rows: 50, organizationId: 'org_2' })
  const bodies = async () => {
    const full = query.selectFrom('inbox').select(eb => eb.fn.countAll<number>().as('n'))
    const { n } = await full
      .where('body', 'is not', null)
      .where('type', '<>', 'data.deletion_required')
      .executeTakeFirstOrThrow()
    return Number(n)
  }
  const ending = () =>
    query
      .selectFrom('inbox')
      .select(['state', 'attempts'])
      .where('type', '=', 'data.deletion_required')
      .executeTakeFirst()
  const folder = testFolder()
  const first = await programOn(url, folder)
  await requireDeletion(first)
  await until(async () => (await query.selectFrom('erasures').select('swept').executeTakeFirst())?.swept)
  first.process.kill('SIGKILL')
  await first.ended
  const left = await bodies()
  expect(left).toBeGreaterThan(50)
  expect(left).toBeLessThan(ROWS)
  expect(await ending()).toEqual({ state: 'running', attempts: 1 })

  // The lease of the killed process would hold for half a minute.
  await query
    .updateTable('outcomes')
    .set({ next_at: Date.now() - 1 })
    .where('state', '=', 'running')
    .execute()
  const second = await programOn(url, folder)
  onTestFinished(async () => void (await second.stop()))
  await until(async () => (await ending())?.state === 'done', 60_000)
  expect(await ending()).toEqual({ state: 'done', attempts: 2 })
  expect(await bodies()).toBe(50)
})

test('of deliveries that were claimed before another process erased their event, none begins and those that run are told', {
  timeout: 60_000,
}, async () => {
  const b = await bench()
  const begun: number[] = []
  const told: unknown[] = []
  b.dispatcher(
    {
      concurrency: 4,
      run: ({ id }, signal) => {
        begun.push(id)
        signal.addEventListener('abort', () => told.push(signal.reason))
        return hanging()
      },
    },
    { ...b.clock, ...systemRuntime },
  )
  const ids = await Promise.all(Array.from({ length: 3 }, () => b.append()))
  await until(() => begun.length === 3)
  // Room for one, and four come at once: it claims them all.
  const pending = { state: 'pending', attempts: 0, next_at: 0 } as const
  await b.database.query.transaction().execute(async trx => {
    for (let n = 0; n < 4; n++) ids.push(await storeDelivery(trx, EVENT, pending))
  })
  for (const id of ids) await b.reaches(id, 'running')
  await until(() => begun.length === 4)
  const program = await programOn(b.database.url, testFolder())
  onTestFinished(async () => void (await program.stop()))
  await requireDeletion(program)
  await until(() => told.length === 4)
  for (const id of ids) await b.reaches(id, 'ignored')
  expect(begun).toHaveLength(4)
  expect(told.map(String)).toEqual(Array(4).fill('HandlerErased'))
  const bodies = b.database.query.selectFrom('inbox').select('body').where('id', 'in', ids)
  await until(async () => (await bodies.execute()).every(row => row.body === null))
})
