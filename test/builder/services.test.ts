import { expect, test } from 'vitest'
import { service } from '../../src/builder/service.ts'
import { type ServiceList, startServices } from '../../src/builder/services.ts'
import { createDescribeError } from '../../src/process/errors.ts'
import { startApp } from '../helpers/app.ts'
import { createClient } from '../helpers/client.ts'
import { manualClock } from '../helpers/clock.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'

const lines: [object, string][] = []
const write = (fields: object, message: string) => void lines.push([fields, message])
const log = { info: write, warn: write, error: write }
const start = (list: ServiceList, runtime = manualClock(), production = false) =>
  startServices(
    list,
    { context: { settings: {} as never, log }, describeError: createDescribeError(production) },
    runtime,
  )

test('handlers get the services that the start made; at the stop each is closed once, the last one first', async () => {
  const order: string[] = []
  const made = (name: string) =>
    service({
      start: () => ({ name, open: true }),
      stop: it => {
        it.open = false
        order.push(it.name)
      },
    })
  const seen: unknown[] = []
  const app = await startApp({
    handlers: {
      revento: {
        'activity.updated': async ({ services }) =>
          void seen.push({ ...(services as unknown as { mail: object }).mail }),
      },
    },
    integration: { services: { queue: made('queue'), mail: made('mail') } },
  })
  const { body, headers } = signedDelivery({ event: { type: 'activity.updated' } })
  await createClient().post(`${app.url}/webhooks/revento`, body, headers)
  await until(() => seen.length > 0)
  expect([seen, order]).toEqual([[{ name: 'mail', open: true }], []])
  await app.close()
  expect(order).toEqual(['mail', 'queue'])
})

test('a service that throws at the start stops it, with what to do, and those before it are closed', async () => {
  const closed: string[] = []
  const list = {
    queue: service({ start: () => 'queue', stop: name => void closed.push(name) }),
    mail: service({ start: () => Promise.reject(new TypeError('no such host')) }),
  }
  await expect(start(list)).rejects.toMatchObject({
    name: 'BuilderMistake',
    message:
      'src/integration/services.ts: the service "mail" did not start: TypeError: no such host. Mend it, or take it out of ' +
      'src/integration/services.ts.',
  })
  expect(closed).toEqual(['queue'])
  // What a message of somebody else quotes is for no log of a deployment.
  await expect(start(list, manualClock(), true)).rejects.toThrow(/did not start: TypeError( at \S+)?\. Mend/)
})

test('a service that hangs at the start stops it after ten seconds', async () => {
  const clock = manualClock()
  const starting = start({ mail: service({ start: () => new Promise<never>(() => {}) }) }, clock)
  const told = expect(starting).rejects.toThrow('the service "mail" did not start within 10 s.')
  await until(() => clock.sleepers().length > 0)
  clock.advance(10_000)
  await told
})

test('a service that throws or hangs at the stop is logged, and keeps no other from closing', async () => {
  const clock = manualClock()
  const closed: string[] = []
  const { stop } = await start(
    {
      queue: service({ start: () => 'queue', stop: name => void closed.push(name) }),
      mail: service({ start: () => 1, stop: () => Promise.reject(new Error('gone')) }),
      pool: service({ start: () => 1, stop: () => new Promise(() => {}) }),
    },
    clock,
  )
  lines.length = 0
  const stopping = stop()
  await until(() => clock.sleepers().includes(2_000))
  clock.advance(2_000)
  await stopping
  expect(closed).toEqual(['queue'])
  expect(lines.map(([fields, message]) => [(fields as { service: string }).service, message])).toEqual([
    ['pool', 'service did not stop in time'],
    ['mail', 'service did not stop in order'],
  ])
})
