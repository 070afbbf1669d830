import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'
import { expect, test } from 'vitest'
import { WEBHOOK_SECRET } from '../helpers/app.ts'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { logLines, MAIN } from '../helpers/program.ts'
import { signedDelivery } from '../helpers/webhook.ts'

const POISON = fileURLToPath(new URL('poison-handlers.ts', import.meta.url))

async function start(folder: string) {
  const port = String(await freePort())
  const credentials = {
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: 'client-secret-for-tests',
  }
  const env = { ...credentials, REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET, PORT: port }
  const child = node(['--import', POISON, MAIN], {
    cwd: folder,
    env: { ...env, DATABASE_URL: 'sqlite:test.db' },
  })
  await child.says('Ready')
  return { ...child, url: `http://127.0.0.1:${port}` }
}

test('a handler whose error nobody catches ends the process five times at most', {
  timeout: 60_000,
}, async () => {
  const folder = testFolder()
  const query = (sql: string) => {
    const database = new DatabaseSync(join(folder, 'test.db'), { timeout: 5000 })
    try {
      return database
        .prepare(sql)
        .all()
        .map(row => ({ ...row }))
    } finally {
      database.close()
    }
  }
  const first = await start(folder)
  const { body, headers } = signedDelivery()
  expect((await request(`${first.url}/webhooks/revento`, { method: 'POST', body, headers })).statusCode).toBe(
    200,
  )
  expect(await first.ended).toBe(1)
  expect(query('select state, attempts from inbox')).toEqual([{ state: 'running', attempts: 1 }])
  expect(logLines(first).filter(line => line['outcome'] === 'interrupted')).toMatchObject([{ delivery: 1 }])

  // As if the thirty seconds of its lease had passed, and as if the next two starts had gone the same way.
  query(`update outcomes set next_at = next_at - 30000, crashes = 3`)
  expect(await (await start(folder)).ended).toBe(1)
  query(`update outcomes set next_at = next_at - 30000`)
  const last = await start(folder)
  await last.says('delivery given up')
  expect(query('select state, crashes from inbox')).toEqual([{ state: 'dead', crashes: 5 }])
  last.process.kill('SIGTERM')
  expect(await last.ended).toBe(0)
})
