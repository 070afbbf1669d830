import pg from 'pg'
import { expect, onTestFinished } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { until } from '../helpers/wait.ts'
import { type Receiver, startReceiver } from '../webhooks/harness.ts'

export interface Under extends Receiver {
  name: string
  /** Its status and reason, from /ready. */
  ready(): Promise<[number, unknown]>
  /** Delivers until one is answered 200; says how long that took, in ms. */
  recovers(): Promise<number>
}

/** `url`: of a database of the server to which the faults happen. */
export function createStage(url: () => string) {
  const at = (database: string) => Object.assign(new URL(url()), { pathname: `/${database}` }).href

  async function admin(sql: string): Promise<pg.QueryResult> {
    const client = new pg.Client(url())
    client.on('error', () => {})
    await client.connect()
    return client.query(sql).finally(() => client.end())
  }

  /** The app on a database of its own, which is gone after the test. */
  async function start(through: (url: string) => string = one => one, owner?: string): Promise<Under> {
    const name = `faults_${crypto.randomUUID().replaceAll('-', '')}`
    await admin(`create database ${name} ${owner === undefined ? '' : `owner ${owner}`}`)
    onTestFinished(async () => void (await admin(`drop database ${name} with (force)`)))
    const app = await startReceiver({ databaseUrl: through(at(name)), connections: 10 })
    onTestFinished(() => app.close())
    expect((await app.send()).status).toBe(200)
    const client = createClient()
    return {
      ...app,
      name,
      ready: async () => {
        const answer = await client.get(`${app.url}/ready`)
        return [answer.status, answer.json()['reason']]
      },
      recovers: async () => {
        const begun = performance.now()
        await until(async () => (await app.send()).status === 200)
        await until(async () => (await client.get(`${app.url}/ready`)).status === 200)
        return performance.now() - begun
      },
    }
  }

  /** Ends the connections of the app. */
  const cut = ({ name }: Under) =>
    admin(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)

  return { at, admin, start, cut }
}

/** Each 200 is a row, and its handler runs. */
export async function expectNothingLost(app: Receiver, acknowledged: number): Promise<void> {
  const rows = await app.settled()
  expect(rows.length).toBeGreaterThanOrEqual(acknowledged)
  expect(rows.every(row => row.state === 'done')).toBe(true)
}
