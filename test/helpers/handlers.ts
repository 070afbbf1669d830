import { readFileSync } from 'node:fs'
import { createSealer } from '../../src/keys/sealing.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import { parseLossless } from '../../src/webhooks/verify/lossless-json.ts'
import { startApp, type TestApp, type TestAppOptions } from './app.ts'
import { createClient } from './client.ts'
import { until } from './wait.ts'
import { envelope, signedDelivery } from './webhook.ts'

export interface HandlerApp extends TestApp {
  /** Delivers an event over the socket and resolves with its state once it is handled, or with what its handler threw. */
  deliver(type: string, change?: Record<string, unknown>): Promise<string>
  connect(eventId: string, organizationId?: string): Promise<unknown>
  participants(): Promise<Record<string, unknown>[]>
  connections(): Promise<Record<string, unknown>[]>
  rows(): ReturnType<typeof readRows>
}

const readRows = ({ database }: TestApp) =>
  database.query.selectFrom('inbox').selectAll().orderBy('id').execute()

/** Reads a file that `deliveries -- capture` wrote; long numbers keep all their digits. */
export function capturedEvent(file: URL) {
  const { event } = parseLossless(readFileSync(file, 'utf8')) as {
    event: { type: string; event_id: string | null; organization_id: string | null }
  }
  return event
}

/** Starts the app with what src/integration holds, unless the test brings other options. */
export async function startHandlers(o: TestAppOptions = { own: true }): Promise<HandlerApp> {
  const app = await startApp(o)
  const client = createClient()
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, systemRuntime)
  const connections = createConnections(app.database.query, sealer, systemRuntime, {
    log: { error() {}, warn() {} },
    platform: 'real',
  })
  const read = (table: 'participants' | 'connections') =>
    app.database.query
      .selectFrom(table)
      .selectAll()
      .orderBy('event_id')
      .orderBy('organization_id', 'desc')
      .execute()
  return {
    ...app,
    async deliver(type, change = {}) {
      const id = crypto.randomUUID()
      const { body, headers } = signedDelivery({
        body: JSON.stringify(envelope({ type, occurred_at: new Date().toISOString(), ...change })),
        id,
      })
      const answer = await client.post(`${app.url}/webhooks/revento`, body, headers)
      if (answer.status !== 200) return `refused with ${answer.status}`
      return until(async () => {
        const row = (await readRows(app)).find(r => r.delivery_id === id)
        if (row?.state !== 'pending' && row?.state !== 'running') return row?.state
        // The test does not wait for the next run, which comes some seconds later.
        return row.last_error !== null && `failed: ${row.last_error}`
      })
    },
    connect: (eventId, organizationId = 'org_test_formal') =>
      connections.save({
        accessToken: `rev_install_${eventId}`,
        refreshToken: `rev_refresh_${eventId}`,
        eventId,
        organizationId,
        scope: 'event.read',
        expiresIn: 3600,
        refreshExpiresIn: 7_776_000,
      }),
    participants: () => read('participants'),
    connections: () => read('connections'),
    rows: () => readRows(app),
  }
}
