import type { DeliveryRun, DeliveryStory, DeliveryView } from '../../webhooks/inbox/deliveries.ts'

export const table = (deliveries: readonly DeliveryView[]): string =>
  columns([
    ['ID', 'STATE', 'TYPE', 'PROVIDER', 'RUNS', 'RECEIVED', 'NOTE'],
    ...deliveries.map(d => [d.id, d.state, d.type, d.provider, String(d.attempts), d.received_at, note(d)]),
  ])

/** Rows as text, each column as wide as its widest cell. The first row is the heading. */
export function columns(rows: readonly string[][]): string {
  const widths = (rows[0] as string[]).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0),
  )
  const line = (row: string[]) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')
  return rows.map(row => line(row).trimEnd()).join('\n')
}

const note = ({ last_error, duplicate_of }: DeliveryView) =>
  duplicate_of === null ? oneLine(last_error ?? '') : `of ${duplicate_of}`

/** Text of a sender or of a handler's error, which must not begin a line of its own. */
const oneLine = (text: string) => text.replaceAll(/[\r\n\t]/g, ' ')

/** The story of a delivery in the order of its events. `now` is in ms; `payload` is given where it may be shown. */
export function storyText(story: DeliveryStory, now: number, payload?: string): string {
  const ids = [
    `event ${story.event_id ?? 'none'}`,
    `organization ${story.organization_id ?? 'none'}`,
    `delivery id ${story.delivery_id ?? 'none'}`,
    `envelope ${story.envelope_id}`,
  ]
  return [
    `Delivery ${story.id}: ${story.type} from ${story.provider} is ${story.state}`,
    ...ids.map(line => `  ${oneLine(line)}`),
    '',
    `${story.received_at}  received, stored and acknowledged`,
    ...story.runs.flatMap((run, n) => runLines(run, story.runs[n + 1]?.started_at, story.next_at)),
    ...endLines(story, now),
    '',
    ...(payload === undefined ? [] : ['Payload:', payload, '']),
    `In the log: lines with "delivery":${story.id}`,
  ].join('\n')
}

const NO_TIME = ' '.repeat(24)

/** The lines of one run. `ran` is the start of the run after it, `due` the time at which one is to start. */
function runLines(run: DeliveryRun, ran: string | undefined, due: string | null): string[] {
  const [error = '', ...stack] = (run.error ?? '').split('\n')
  const reason = run.error === null ? '' : `: ${oneLine(error)}`
  return [
    `${run.started_at}  run ${run.attempt} begins`,
    ...run.calls.map(call => {
      const id = call.request_id ? `  request id ${call.request_id}` : ''
      return `${call.at}    ${call.what}: ${call.result}, ${call.ms} ms${id}`
    }),
    `${run.ended_at ?? NO_TIME}  run ${run.attempt} ${outcome(run, ran, due)}${reason}`,
    ...stack.map(line => `${NO_TIME}  ${line}`),
  ]
}

function outcome(run: DeliveryRun, ran: string | undefined, due: string | null): string {
  const word = OUTCOMES[run.outcome]
  if (run.ended_at === null) return word
  const ended = Date.parse(run.ended_at)
  const after = `${word} after ${span(ended - Date.parse(run.started_at))}`
  if (run.outcome !== 'retry' && run.outcome !== 'postponed') return after
  if (ran !== undefined) return `${after}; it ran again ${span(Date.parse(ran) - ended)} later`
  return due === null ? after : `${after}; it runs again in ${span(Date.parse(due) - ended)}`
}

const HOURS = [3_600_000, 'h'] as const
const UNITS = [[1_000, 's'], [60_000, 'min'], HOURS] as const

/** 38 ms, 2 s, 2.3 min, 1.5 h */
function span(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, ms)} ms`
  const [size, unit] = UNITS.find(([size]) => ms < size * 60) ?? HOURS
  return `${Math.round((ms / size) * 10) / 10} ${unit}`
}

const OUTCOMES = {
  done: 'is done',
  ignored: 'had nothing to do',
  retry: 'failed',
  postponed: 'had to wait for Revento, and was not counted',
  parked: 'has to wait for the organizer to connect again; it ended',
  dead: 'failed for the last time',
  released: 'was given back because the process stopped',
  interrupted: 'never ended: its process did',
}

function endLines(story: DeliveryStory, now: number): string[] {
  const at = story.finished_at ?? NO_TIME
  switch (story.state) {
    case 'done':
      return [`${at}  done`]
    case 'ignored':
      return [
        `${at}  ignored: ${story.stored ? 'no handler has this type' : 'the data of its event was erased'}`,
      ]
    case 'duplicate':
      return [`${at}  a repeat of delivery ${story.duplicate_of}: nothing ran`]
    case 'dead':
      return [
        `${at}  given up: ${oneLine(story.last_error ?? '')}`,
        ...(story.replayable ? [`To run it again: npm run -s deliveries -- replay ${story.id}`] : []),
      ]
    case 'parked':
      return [`${at}  parked until the organizer connects the event again; then it runs by itself`]
    case 'running':
      return story.lease_until !== null && Date.parse(story.lease_until) < now
        ? ['Its process ended before its handler did. It runs again as soon as the app runs.']
        : ['Its handler runs now.']
    default:
      return [story.next_at === null ? 'It waits for its turn.' : `${story.next_at}  it runs again`]
  }
}
