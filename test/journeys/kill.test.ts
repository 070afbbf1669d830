import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { Agent, request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { WEBHOOK_SECRET } from '../helpers/app.ts'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { type Started, startMain } from './starting.ts'

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

const health = (url: string) =>
  fetch(`${url}/health`).then(
    answer => answer.ok,
    () => false,
  )

/** Sends without pause until the process is gone, which it is after `killAfter` answers; gives what was answered 200. */
async function burst(app: Started, killAfter: number): Promise<string[]> {
  const agent = new Agent({ connections: 32 })
  const answered: string[] = []
  const sender = async () => {
    for (;;) {
      const id = crypto.randomUUID()
      const { body, headers } = signedDelivery({ id, event: { data: { participant_id: `ptp_${id}` } } })
      const options = { method: 'POST', body, headers, dispatcher: agent } as const
      const status = await request(`${app.url}/webhooks/revento`, options).then(
        async answer => {
          await answer.body.text()
          return answer.statusCode
        },
        () => 0,
      )
      if (status === 0) return
      expect(status).toBe(200)
      answered.push(id)
      if (answered.length === killAfter) process.kill(app.pid, 'SIGKILL')
    }
  }
  await Promise.all(Array.from({ length: 32 }, sender))
  expect(await app.ended).toBe('SIGKILL')
  await agent.destroy()
  return answered
}

test('five kills in the middle of a burst lose nothing that was answered 200, and all of it is handled', async () => {
  const folder = testFolder()
  const answered: string[] = []
  for (const killAfter of [40, 110, 180, 25, 150]) {
    const app = await startMain({ folder, env: REAL })
    await until(() => health(app.url))
    answered.push(...(await burst(app, killAfter)))
  }
  expect(answered.length).toBeGreaterThanOrEqual(505)
  const database = openDatabase(folder)
  const stored = new Set(database.rows().map(row => row.delivery_id))
  expect(answered.filter(id => !stored.has(id))).toEqual([])

  await startMain({ folder, env: REAL })
  await until(() => database.rows().every(row => row.state !== 'pending'), 30_000)
  // What is left are runs that a kill interrupted: as if the thirty seconds of their lease had passed.
  database.exec(`update inbox set next_at = next_at - 30000 where state = 'running'`)
  const rows = await until(() => {
    const all = database.rows()
    return all.every(row => row.state === 'done') && all
  }, 30_000)
  const handled = new Set(rows.map(row => row.delivery_id))
  expect(answered.filter(id => !handled.has(id))).toEqual([])
}, 90_000)

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
  database.exec(`update inbox set next_at = next_at - 30000 where envelope_id = 'evt_a'`)
  await second.child.says('began evt_a attempt 2')
  await until(() => database.rows()[0]?.state === 'done')
})
