import { loadConfig } from '../../src/config/settings.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createApiClient } from '../../src/revento/api.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { createBudgets } from '../../src/storage/api-budgets.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { createSync } from '../../src/sync/index.ts'
import { appendWithin } from '../../src/webhooks/inbox/append.ts'

/** A process that works at whatever comparison is open, with the limits that it is given; see sync.test.ts. */
const [databaseUrl = '', apiBase = '', windows = '[]', share = '[]'] = process.argv.slice(2)
const { query } = await openDatabase(loadConfig({ DATABASE_URL: databaseUrl }).store, runtime)
const silent = { info() {}, warn() {}, error() {} }
const log = { ...silent, child: () => silent }
const budgets = createBudgets(query, 'real')
const limits = { budgets, windows: JSON.parse(windows) }
const apiClient = createApiClient({ apiBase, dispatcher: createOutgoing().api, log, ...limits }, runtime)
const inbox = {
  async appendWithin(...given: Parameters<typeof appendWithin>) {
    await appendWithin(...given)
    return () => {}
  },
  isFull: () => false,
  trouble: () => undefined,
}
const sync = createSync(
  { mode: 'real', syncEveryMs: 0 },
  {
    ...{ query, apiClient, inbox, log, metrics: { sync: () => {} }, choices: { tellFirstRun: false } },
    ...{
      share: JSON.parse(share),
      oauth: {
        accessTokens: { use: (_key: unknown, call: (token: string) => unknown) => call('token') },
      } as never,
    },
  },
  runtime,
)
process.stdout.write('ready\n')
for (;;) {
  await sync.worker.take(new AbortController().signal)
  await runtime.sleep(200)
}
