import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { WEBHOOK_SECRET } from '../helpers/app.ts'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { crashRounds } from './bench/crash-rounds.ts'

const REAL = {
  REVENTO_CLIENT_ID: 'client-for-tests',
  REVENTO_CLIENT_SECRET: 'client-secret-for-tests',
  REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
  LOG_LEVEL: 'warn',
}

function openDatabase(folder: string) {
  const database = new DatabaseSync(join(folder, 'data', 'test.db'), { timeout: 5000 })
  onTestFinished(() => database.close())
  const rows = () =>
    database.prepare('select delivery_id, state, attempts, lease_owner from inbox').all() as {
      delivery_id: string
      state: string
      attempts: number
    }[]
  return { rows, exec: (sql: string) => database.exec(sql) }
}

test('three kills under load lose nothing that was answered 200, and all of it is handled', async () => {
  const result = await crashRounds({ folder: testFolder(), rounds: 3, hurry: true })
  expect(result).toMatchObject({ lost: 0, unhandled: 0, handledTwice: 0 })
  expect(result.acknowledged).toBeGreaterThan(50)
}, 120_000)

test('three stops under load lose nothing either, and each ends with 0 within 10 s', async () => {
  const folder = testFolder()
  const result = await crashRounds({ folder, rounds: 3, signal: 'SIGTERM' })
  expect(result).toMatchObject({ lost: 0, unhandled: 0, handledTwice: 0, disorderly: 0, ranAgain: 0 })
  expect(result.acknowledged).toBeGreaterThan(50)
}, 120_000)

test('a kill in the middle of a handler has it run again when its lease has ended, not before', async () => {
  const folder = testFolder()
  const start = async () => {
    const port = await freePort()
    const env = { ...REAL, PORT: String(port), DATABASE_URL: 'sqlite:data/test.db' }
    const child = node([fileURLToPath(new URL('hanging-app.ts', import.meta.url))], { cwd: folder, env })
    await child.says('Ready')
    return { child, url: `http://127.0.0.1:${port}/webhooks/revento` }
  }
  const deliver = async (url: string, id: string) => {
    const { body, headers } = signedDelivery({ event: { id } })
    return (await request(url, { method: 'POST', body, headers })).statusCode
  }
  const first = await start()
  expect(await deliver(first.url, 'evt_a')).toBe(200)
  await first.child.says('began evt_a attempt 1')
  process.kill(first.child.pid, 'SIGKILL')
  await first.child.ended

  const database = openDatabase(folder)
  expect(database.rows()).toMatchObject([{ state: 'running', attempts: 1 }])
  const second = await start()
  expect(await deliver(second.url, 'evt_b')).toBe(200)
  await second.child.says('began evt_b attempt 1')
  expect(second.child.output.out).not.toContain('evt_a')
  // As if the thirty seconds had passed.
  database.exec(`update outcomes set next_at = next_at - 30000
    where id in (select id from deliveries where envelope_id = 'evt_a')`)
  await second.child.says('began evt_a attempt 2')
  await until(() => database.rows()[0]?.state === 'done')
})
