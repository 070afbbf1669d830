import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { SANDBOX_CREDENTIALS } from '../../src/config/checks.ts'
import { createClient } from '../helpers/client.ts'
import { testFolder } from '../helpers/folder.ts'
import { startProgram } from '../helpers/program.ts'
import { until } from '../helpers/wait.ts'
import { envelope, signedDelivery } from '../helpers/webhook.ts'

const MONTH = 31 * 86_400_000
const EVENT = envelope({ event_id: 'evt_test_published', organization_id: 'org_test_formal' })

/** For --import: the wall clock of the whole process is ahead by so much; the monotonic one is not. */
const ahead = (ms: number) => ({
  NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(`const { now } = Date; Date.now = () => now() + ${ms}`)}`,
})

/** The real program on this folder's database, whose clock is ahead. */
async function start(folder: string, aheadMs: number) {
  const program = await startProgram({ PAYLOAD_DAYS: '1', ...ahead(aheadMs) }, folder)
  onTestFinished(async () => void (await program.stop('SIGKILL')))
  const database = new DatabaseSync(join(folder, 'data', 'revento.db'), { readOnly: true })
  onTestFinished(() => database.close())
  const rows = () =>
    database
      .prepare('select envelope_id, state, attempts, body is not null as body from inbox order by id')
      .all()
  return {
    ...program,
    rows,
    /** Gives the rows when it has been dealt with. */
    async deliver() {
      const { webhookSecret: secret } = SANDBOX_CREDENTIALS
      const at = Date.now() + aheadMs
      const { body, headers } = signedDelivery({ secret, at, body: JSON.stringify(EVENT) })
      const before = rows().length
      expect((await createClient().post(`${program.url}/webhooks/revento`, body, headers)).status).toBe(200)
      return until(() => {
        const found = rows()
        return (
          found.length > before &&
          !found.some(({ state }) => state === 'pending' || state === 'running') &&
          found
        )
      })
    },
  }
}

test('one start with a clock that is 31 days ahead removes nothing, and a redelivery is still a duplicate', async () => {
  const folder = testFolder()
  const first = await start(folder, 0)
  const [done] = await first.deliver()
  expect(done).toMatchObject({ envelope_id: EVENT.id, state: 'done', attempts: 1, body: 1 })
  // The newest row stays in any case, and the oldest one must not be it.
  const [, repeat] = await first.deliver()
  expect(repeat).toMatchObject({ state: 'duplicate' })
  expect(await first.stop()).toBe(0)

  const wrong = await start(folder, MONTH)
  await until(() => wrong.output.out.includes('by this clock everything stored is older than RETENTION_DAYS'))
  expect(await wrong.deliver()).toEqual([done, repeat, repeat])
  expect(await wrong.stop()).toBe(0)

  const right = await start(folder, 0)
  await until(() => right.output.out.includes('the newest delivery is from the future'))
  expect(await right.deliver()).toEqual([done, repeat, repeat, repeat])
  expect(await right.stop()).toBe(0)
}, 60_000)
