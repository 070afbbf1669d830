import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { CLIENT_SECRET, WEBHOOK_SECRET } from '../helpers/secrets.ts'
import { typed } from '../helpers/typed.ts'
import { json } from '../helpers/upstream.ts'
import { connect, EVENT, startPair } from '../oauth/harness.ts'

const CLI = fileURLToPath(new URL('../../src/cli/operate/sync.ts', import.meta.url))

test('the command compares an event to its end, beside the app or without it, and says what to do where it cannot', async () => {
  const pair = await startPair()
  const { app, upstream } = pair
  await connect(pair)
  const data = [{ id: 'ptp_1', name: 'Ada' }, { id: 'ptp_2' }]
  upstream.onApi = json(200, { data, next_cursor: null, has_more: false })
  const env = {
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: CLIENT_SECRET,
    REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
    REVENTO_AUTH_BASE: upstream.authBase,
    REVENTO_API_BASE: upstream.apiBase,
    REVENTO_REDIRECT_URI: app.config.redirectUri,
    DATABASE_URL: app.config.store.kind === 'sqlite' ? `sqlite:${app.config.store.path}` : '',
    ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
  }
  const run = (...args: string[]) => typed(CLI, args, { env })
  const done = await run(EVENT)
  expect([done.code, done.err]).toEqual([0, ''])
  expect(done.out).toMatch(/Complete: 2 participants on 1 pages; 2 came, 0 changed, 0 went\.\n$/)
  upstream.onApi = json(200, { data: [{ name: 'no id' }], next_cursor: null, has_more: false })
  const failed = await run(EVENT, 'org_test_formal')
  expect([failed.code, failed.out]).toEqual([
    1,
    expect.stringContaining('Ended: row_without_id. Nobody counts as gone because of it.'),
  ])
  const people = await app.database.query.selectFrom('participants').select('gone_at').execute()
  expect(people).toEqual([{ gone_at: null }, { gone_at: null }])
  for (const [args, says] of [
    [[], 'Give the id of an EVENT'],
    [[EVENT, 'org_other'], `${EVENT} is not connected: its organizer opens ${app.config.origin}/connect`],
    [['--now'], "Unknown option '--now'"],
  ] as const)
    expect(await run(...args)).toMatchObject({ code: 1, err: expect.stringContaining(says) })
  expect((await run('--help')).out).toContain('Usage: npm run sync -- EVENT')
})
