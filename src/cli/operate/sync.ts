import { openConnected } from '../../builder/open-revento.ts'
import { sync as choices } from '../../integration/sync.ts'
import { noMetrics } from '../../metrics/metrics.ts'
import { connectUrl } from '../../oauth/connect.route.ts'
import type { Connection } from '../../oauth/connections.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { createSync, type RunView, type Sync } from '../../sync/index.ts'
import { appendWithin } from '../../webhooks/inbox/append.ts'
import { print, Refused, runCommand, Usage } from '../command.ts'

const HELP = `Usage: npm run sync -- EVENT [ORGANIZATION]

Compares the stored participants of a connected event, and its activities where program.read is granted, with Revento's
lists now, and prints how far it is. What came, changed or went is stored and goes to the handlers of \`sync\`, as after
each SYNC_EVERY_HOURS.

The app may be running: one of the two does it, within the same limits. ORGANIZATION is needed where several have
connected the event. Ctrl-C stops; the app, or this command typed again, goes on at the same page. Exit code: 0 when
the comparison is complete, else 1.
`

const LOOK_MS = 500

async function main(_values: object, words: string[]): Promise<number> {
  const [eventId, organizationId, ...more] = words
  if (eventId === undefined || more.length > 0) throw new Usage('Give the id of an EVENT.')
  const stopping = new AbortController()
  const stop = () => stopping.abort()
  process.once('SIGINT', stop)
  let code = 1
  await openConnected(async ({ config, database, parts, log }) => {
    const inbox = {
      async appendWithin(...given: Parameters<typeof appendWithin>) {
        await appendWithin(...given)
        // The app finds new deliveries by itself.
        return () => {}
      },
      isFull: () => false,
      trouble: () => undefined,
    }
    const { query } = database
    const made = { query, oauth: parts, apiClient: parts.apiClient, inbox, choices, metrics: noMetrics, log }
    const sync = createSync(config, made, runtime)
    const connection = chosen(await parts.connections.list(), {
      eventId,
      organizationId,
      origin: config.origin,
    })
    const runs = await sync.ask(connection, 'command')
    if (runs.length === 0) throw new Refused(`${connection.eventId} has to be connected again first.`)
    code = 0
    for (const run of runs)
      if (!stopping.signal.aborted)
        code = Math.max(code, await follow(sync, connection, run, stopping.signal))
    await sync.worker.settled()
  }, stopping.signal).finally(() => process.off('SIGINT', stop))
  return code
}

function chosen(
  all: readonly Connection[],
  of: { eventId: string; organizationId: string | undefined; origin: string },
): Connection {
  const { eventId, organizationId, origin } = of
  const found = all.filter(
    c => c.eventId === eventId && (organizationId === undefined || c.organizationId === organizationId),
  )
  const [connection, ...others] = found
  if (!connection)
    throw new Refused(`${eventId} is not connected: its organizer opens ${connectUrl(origin, eventId)}`)
  if (others.length === 0) return connection
  const names = found.map(c => c.organizationId).join(', ')
  throw new Usage(`${eventId} is connected by several organizations: give one of ${names} too.`)
}

/** Works at the run, or watches the process that does, until it has ended and no other run has followed a failed one. */
async function follow(
  sync: Sync,
  connection: Connection,
  asked: RunView,
  signal: AbortSignal,
): Promise<number> {
  let run = asked
  let said = ''
  while (!signal.aborted) {
    await sync.worker.take(signal, run.id)
    const now: RunView | undefined = await sync.run(run.id)
    if (!now) throw new Refused('The event was erased meanwhile.')
    const line = lineOf(now)
    if (line !== said) print(line)
    said = line
    if (now.finishedAt !== null) {
      const next = now.outcome === 'failed' ? await sync.open(connection, run.list) : undefined
      if (!next) return now.outcome === 'done' ? 0 : 1
      run = next
    }
    await runtime.sleep(LOOK_MS, signal).catch(() => {})
  }
  print('Stopped. It goes on with the running app, or when this command is typed again.')
  return 1
}

const WAITS: Readonly<Record<string, string>> = {
  limits: 'waits for its share of the calls',
  revento: 'waits for Revento, which does not answer',
  refresh: 'waits for a new token',
  suspended: 'waits until Revento lifts the suspension',
  backlog: 'waits until stored deliveries are handled',
}

function lineOf(run: RunView): string {
  const { list, pages, counted, added, changed, removed } = run
  if (run.outcome === 'done')
    return `Complete: ${counted} ${list} on ${pages} pages; ${added} came, ${changed} changed, ${removed} went.`
  if (run.outcome !== null) return `Ended: ${run.problem}. Nobody counts as gone because of it.`
  const until = run.waitsUntil === null ? '' : ` until ${new Date(run.waitsUntil).toISOString()}`
  const waits = run.waitsFor === null ? '' : `; ${WAITS[run.waitsFor] ?? run.waitsFor}${until}`
  const what = run.phase === 'list' ? '' : ', looking again for who was not listed'
  return `Page ${pages}: ${counted} ${list}${what}${waits}`
}

await runCommand({ name: 'sync', help: HELP, options: {}, takesWords: true, main })
