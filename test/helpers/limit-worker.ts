import { createInterface } from 'node:readline'
import { loadConfig } from '../../src/config/settings.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { ApiError, createApiClient } from '../../src/revento/api.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { createBudgets } from '../../src/storage/api-budgets.ts'
import { openDatabase } from '../../src/storage/open.ts'

/** This process begins at the first line on stdin, and then calls the API as often as the limits allow. */
const [databaseUrl = '', apiBase = '', windows = '[]'] = process.argv.slice(2)
const { query } = await openDatabase(loadConfig({ DATABASE_URL: databaseUrl }).store, runtime)
const log = { info() {}, warn() {}, error() {} }
const client = createApiClient(
  {
    apiBase,
    dispatcher: createOutgoing().api,
    log,
    budgets: createBudgets(query, 'real'),
    windows: JSON.parse(windows),
  },
  runtime,
)
const key = { eventId: 'evt_1', organizationId: 'org_1' }
const api = client.forEvent(key, call => call('token-1'), { patienceMs: Number.POSITIVE_INFINITY })

async function callForEver(): Promise<never> {
  for (;;) await api.event().catch(error => void (error instanceof ApiError || process.exit(1)))
}
createInterface({ input: process.stdin }).once('line', () => {
  for (let n = 0; n < 8; n++) void callForEver()
})
process.stdout.write('ready\n')
