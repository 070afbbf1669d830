import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../../src/process/runtime.ts'
import { openDatabase } from '../../../src/storage/open.ts'
import { createClient, stateOf } from '../../helpers/client.ts'
import { testStore } from '../../helpers/database.ts'
import { testFolder } from '../../helpers/folder.ts'
import { startProgram } from '../../helpers/program.ts'
import { CLIENT_SECRET, WEBHOOK_SECRET } from '../../helpers/secrets.ts'
import { seedEvent } from '../../helpers/seed.ts'
import { startUpstream } from '../../helpers/upstream.ts'
import { until } from '../../helpers/wait.ts'

const ROWS = 6_000
const EVENT = { eventId: 'evt_test_published', organizationId: 'org_test_formal', type: 'activity.updated' }

test('killed while it wakes what was parked, the next process wakes the rest', {
  timeout: 90_000,
}, async () => {
  const { store, url } = await testStore()
  const database = await openDatabase(store, systemRuntime)
  const upstream = await startUpstream()
  await seedEvent(store, { ...EVENT, rows: ROWS, state: 'parked', bodyBytes: 100, receivedAt: Date.now() })
  const folder = testFolder()
  const env = {
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: CLIENT_SECRET,
    REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
    REVENTO_AUTH_BASE: upstream.authBase,
    REVENTO_API_BASE: upstream.apiBase,
    DATABASE_URL: url,
  }
  const first = await startProgram(env, folder)
  onTestFinished(async () => {
    await upstream.close()
    await database.close()
  })
  const inState = async (state: 'parked' | 'done') => {
    const rows = database.query.selectFrom('inbox').select(eb => eb.fn.countAll<number>().as('n'))
    return Number((await rows.where('state', '=', state).executeTakeFirstOrThrow()).n)
  }
  const client = createClient()
  const state = stateOf(await client.get(`${first.url}/connect?event_id=${EVENT.eventId}`))
  expect((await client.get(`${first.url}/callback?code=c&state=${state}`)).status).toBe(200)
  await until(async () => (await inState('parked')) < ROWS)
  first.process.kill('SIGKILL')
  await first.ended
  const [parked, done] = [await inState('parked'), await inState('done')]
  expect(parked).toBeGreaterThan(0)
  expect(done).toBeLessThan(ROWS)

  // The leases of the killed process would hold for half a minute.
  await database.query
    .updateTable('outcomes')
    .set({ next_at: Date.now() - 1 })
    .where('state', '=', 'running')
    .execute()
  const second = await startProgram(env, folder)
  onTestFinished(async () => void (await second.stop()))
  await until(async () => (await inState('done')) === ROWS, 60_000)
})
