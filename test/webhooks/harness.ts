import { startApp, type TestApp, type TestAppOptions } from '../helpers/app.ts'
import { createClient } from '../helpers/client.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'

export interface Delivery {
  body: Buffer
  headers: Record<string, string>
}

export interface Receiver extends TestApp {
  /** Envelope ids in the order their handler began. */
  ran: string[]
  post(delivery: Delivery): Promise<{ status: number; text: string; type: string }>
  send(o?: Parameters<typeof signedDelivery>[0]): ReturnType<Receiver['post']>
  rows(): Promise<Row[]>
  /** Resolves with the rows when none waits to be handled. */
  settled(): Promise<Row[]>
  requestLog(): Record<string, unknown>[]
}
type Row = Awaited<ReturnType<typeof readRows>>[number]

const readRows = ({ database }: TestApp) =>
  database.query.selectFrom('inbox').selectAll().orderBy('id').execute()

/** The app with a handler for `application.approved` that only notes that it ran. */
export async function startReceiver(o: TestAppOptions = {}): Promise<Receiver> {
  const ran: string[] = []
  const note = async ({ event }: { event: { id: string } }) => {
    ran.push(event.id)
  }
  const app = await startApp({ handlers: { revento: { 'application.approved': note } }, ...o })
  const client = createClient()
  const rows = () => readRows(app)
  const post: Receiver['post'] = async ({ body, headers }) => {
    const {
      status,
      text,
      headers: answered,
    } = await client.post(`${app.url}/webhooks/revento`, body, headers)
    return { status, text, type: String(answered['content-type']) }
  }
  return {
    ...app,
    ran,
    post,
    send: o => post(signedDelivery(o)),
    rows,
    settled: () =>
      until(async () => {
        const all = await rows()
        return all.every(row => row.state !== 'pending' && row.state !== 'running') && all
      }),
    requestLog: () => app.log.filter(line => line['msg'] === 'request'),
  }
}
