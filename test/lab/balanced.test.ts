import { randomUUID } from 'node:crypto'
import { Agent, request } from 'undici'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { browserOrSkip } from '../helpers/browser.ts'
import { freePort } from '../helpers/ports.ts'
import { type RoundRobin, startRoundRobin } from '../helpers/round-robin.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { SECRET } from './bench/processes.ts'
import { type Cluster, startCluster } from './proof/cluster.ts'
import { journey } from './proof/journey.ts'

const browser = await browserOrSkip()

/** Two processes of the real program behind a balancer that gives each request to the next of them. */
let balancer: RoundRobin
let cluster: Cluster
beforeAll(async () => {
  balancer = await startRoundRobin(await freePort())
  cluster = await startCluster(2, inject('postgres').url, balancer.url)
  balancer.targets = cluster.apps.map(app => app.url)
})
afterAll(async () => {
  await browser?.close()
  await balancer.close()
  await cluster.stop()
})

const targetsOf = (path: string) =>
  new Set(balancer.served.flatMap(one => (one.path === path ? [one.target] : [])))

test.skipIf(!browser)(
  'the whole journey of a browser, with every request at another process',
  {
    timeout: 60_000,
  },
  async () => {
    const context = await browser?.newContext()
    if (!context) throw new Error('no browser')
    const wide = () => targetsOf('/deliveries/stream').size === 2
    const { complaints } = await journey(context, balancer.url, cluster, wide)
    expect(complaints).toEqual([])
    for (const path of ['/', '/deliveries/stream', '/webhooks/revento']) expect(targetsOf(path).size).toBe(2)
    await context.close()
  },
)

test('SIGTERM under load: exit 0 within 10 s, and the other process loses nothing of what was acknowledged', {
  timeout: 60_000,
}, async () => {
  const [leaving, staying] = cluster.apps
  const dispatcher = new Agent()
  const acknowledged = new Set<string>()
  const others: number[] = []
  const ended = new AbortController()
  const sender = async (url: string | undefined): Promise<void> => {
    while (!ended.signal.aborted) {
      const id = randomUUID()
      const { body, headers } = signedDelivery({ id, event: { id: `evt_${id}` }, secret: SECRET })
      const sent = { method: 'POST' as const, body, headers, dispatcher }
      const answer = await request(`${url}/webhooks/revento`, sent).catch(() => undefined)
      if (!answer) return
      await answer.body.dump()
      if (answer.statusCode === 200) acknowledged.add(id)
      else others.push(answer.statusCode)
    }
  }
  const senders = Array.from({ length: 16 }, (_, n) => sender((n % 2 ? leaving : staying)?.url))
  await until(() => acknowledged.size > 300)
  const begun = performance.now()
  expect(await leaving?.stop()).toBe(0)
  expect(performance.now() - begun).toBeLessThan(10_000)
  ended.abort()
  await Promise.all(senders)
  await dispatcher.destroy()
  const { rows } = await until(async () => {
    const all = await cluster.database.query(
      'select delivery_id, state from inbox where delivery_id is not null',
    )
    return all.rows.every(row => row.state !== 'pending' && row.state !== 'running') && all
  }, 20_000)
  const done = new Set(rows.filter(row => row.state === 'done').map(row => row.delivery_id))
  expect([...acknowledged].filter(id => !done.has(id))).toEqual([])
  expect(others.filter(status => status !== 503)).toEqual([])
})
