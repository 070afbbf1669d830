import { expect, onTestFinished, test } from 'vitest'
import { createDescribeError, StorageError } from '../../../src/process/errors.ts'
import { createDispatcher } from '../../../src/webhooks/dispatch/dispatcher.ts'
import { startApp } from '../../helpers/app.ts'
import { createClient } from '../../helpers/client.ts'
import { testRuntime } from '../../helpers/runtime.ts'
import { onEachStatement } from '../../helpers/statements.ts'
import { until } from '../../helpers/wait.ts'
import { signedDelivery } from '../../helpers/webhook.ts'
import { bench, stopNow } from './dispatching.ts'

test('/ready says when deliveries wait and none can be claimed, and is well again when they are', async () => {
  const runtime = testRuntime()
  const app = await startApp({ runtime })
  onTestFinished(() => app.close())
  const client = createClient()
  const ready = async () => {
    const { status, json } = await client.get(`${app.url}/ready`)
    return [status, json()['error'], json()['reason']]
  }
  // What is new cannot be claimed without it, and is stored all the same.
  await app.database.query.schema.alterTable('delivery_keys').renameTo('elsewhere').execute()
  const { body, headers } = signedDelivery()
  expect((await client.post(`${app.url}/webhooks/revento`, body, headers)).status).toBe(200)
  expect(await ready()).toEqual([200, undefined, undefined])
  // A claim from before may still succeed, and counts from then.
  const refused = await until(async () => {
    runtime.advance(16_000)
    const answer = await ready()
    return answer[0] === 503 && answer
  })
  expect(refused).toEqual([503, 'not_handling', 'deliveries_not_claimed'])
  await app.database.query.schema.alterTable('elsewhere').renameTo('delivery_keys').execute()
  await until(async () => (await ready())[0] === 200)
})

test('what looks after parked deliveries and wrong times may fail: nothing waits for it', async () => {
  const b = await bench()
  const query = onEachStatement(b.database.query, ({ sql }) => {
    if (/'parked'|\("next_at", "id"\)/.test(sql)) throw new StorageError('database_slow')
  })
  const done: number[] = []
  const dispatcher = createDispatcher(
    query,
    {
      concurrency: 10,
      platform: 'real',
      hasHandler: () => true,
      isParking: () => false,
      describeError: createDescribeError(false),
      parkedAt: () => ({ connect_url: undefined }),
      log: {
        info() {},
        warn() {},
        error: fields => void b.log.push({ level: 'error', fields: { ...fields }, message: '' }),
      },
      run: async ({ id }) => void done.push(id),
    },
    b.clock,
  )
  const id = await b.append()
  dispatcher.start()
  onTestFinished(() => stopNow(dispatcher, b.clock))
  await b.reaches(id, 'done')
  expect(done).toEqual([id])
  await until(() => b.log.length > 0)
})
