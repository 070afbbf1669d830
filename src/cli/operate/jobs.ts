import { everyMs } from '../../builder/jobs.ts'
import { jobs } from '../../integration/jobs.ts'
import type { JobsTable } from '../../storage/schema.ts'
import { print, printJson, readSettings, runCommand } from '../command.ts'
import { onStore, readStore } from '../store.ts'
import { columns } from './deliveries-text.ts'

const HELP = `Usage: npm run -s jobs [-- --json]

Prints the jobs of src/integration/jobs.ts: the last and the next run of each, and its last error. A run counts as
"missed" when its process ended before it did.
`

async function main({ json }: { json?: boolean | undefined }): Promise<number> {
  const { store, mode } = readSettings()
  const rows = await onStore(store, () =>
    readStore(store, query =>
      query.selectFrom('jobs').selectAll().where('platform', '=', mode).orderBy('name').execute(),
    ),
  )
  if (json) for (const row of rows) printJson(row)
  else print(rows.length === 0 ? 'No job has run yet: list yours in src/integration/jobs.ts.' : table(rows))
  return 0
}

const table = (rows: readonly JobsTable[]): string =>
  columns([
    ['JOB', 'STATE', 'LAST RUN', 'NEXT', 'RUNS', 'FAILED', 'MISSED', 'NOTE'],
    ...rows.map(row => [
      row.name,
      row.lease_owner === null ? (row.outcome ?? 'waiting') : 'running',
      moment(row.started_at),
      nextOf(row),
      ...[row.runs, row.failed, row.missed].map(String),
      row.last_error ?? '',
    ]),
  ])

function nextOf({ name, started_at }: JobsTable): string {
  const job = jobs.find(known => known.name === name)
  if (!job) return 'never: not listed'
  return started_at === null ? 'soon' : moment(started_at + (everyMs(job.every) ?? 0))
}

const moment = (ms: number | null) => (ms === null ? '-' : `${new Date(ms).toISOString().slice(0, 19)}Z`)

await runCommand({ name: 'jobs', help: HELP, options: { json: { type: 'boolean' } }, main })
