import type { DeliveryRun, DeliveryStory, DeliveryView } from '../webhooks/deliveries.ts'

/** Columns as wide as their widest cell. */
export function table(deliveries: readonly DeliveryView[]): string {
  const rows = [
    ['ID', 'STATE', 'TYPE', 'PROVIDER', 'RUNS', 'RECEIVED', 'NOTE'],
    ...deliveries.map(d => [d.id, d.state, d.type, d.provider, String(d.attempts), d.received_at, note(d)]),
  ]
  const widths = (rows[0] as string[]).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0),
  )
  return rows
    .map(row =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const note = ({ last_error, duplicate_of }: DeliveryView) =>
  duplicate_of === null ? printable(last_error ?? '') : `of ${duplicate_of}`

/** What a sender or a handler's error put in: no control characters reach the terminal. */
const printable = (text: string) => text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')

/** The story of one delivery, for a person, in the order it happened. `now` in ms. */
export function storyText(story: DeliveryStory, now: number): string {
  const ids = [
    `event ${story.event_id ?? 'none'}`,
    `organization ${story.organization_id ?? 'none'}`,
    `delivery id ${story.delivery_id ?? 'none'}`,
    `envelope ${story.envelope_id}`,
  ]
  return [
    `Delivery ${story.id}: ${story.type} from ${story.provider} is ${story.state}`,
    ...ids.map(line => `  ${printable(line)}`),
    '',
    `${story.received_at}  received, stored and acknowledged`,
    ...story.runs.flatMap(runLines),
    ...endLines(story, now),
    '',
    `In the log: lines with "delivery":${story.id}`,
  ].join('\n')
}

function runLines(run: DeliveryRun): string[] {
  const took =
    run.ended_at === null ? '' : ` after ${Date.parse(run.ended_at) - Date.parse(run.started_at)} ms`
  const error = run.error === null ? '' : `: ${printable(run.error)}`
  return [
    `${run.started_at}  run ${run.attempt} begins`,
    ...run.calls.map(call => {
      const id = call.request_id ? `  request id ${call.request_id}` : ''
      return `${call.at}    ${call.what}: ${call.result}, ${call.ms} ms${id}`
    }),
    `${run.ended_at ?? '                        '}  run ${run.attempt} ${OUTCOMES[run.outcome]}${took}${error}`,
  ]
}

const OUTCOMES = {
  done: 'is done',
  ignored: 'had nothing to do',
  retry: 'failed, and is to run again',
  postponed: 'was put back, not counted, until it can call Revento again',
  parked: 'waits for the organizer to connect again',
  dead: 'failed, and was the last',
  released: 'was given back because the process stopped',
  interrupted: 'never ended: its process did',
}

function endLines(story: DeliveryStory, now: number): string[] {
  const at = story.finished_at ?? '                        '
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
        `${at}  given up: ${printable(story.last_error ?? '')}`,
        ...(story.replayable ? [`To run it again: npm run -s deliveries -- replay ${story.id}`] : []),
      ]
    case 'parked':
      return [`${at}  parked until the organizer connects the event again; then it runs by itself`]
    case 'running':
      return story.lease_until !== null && Date.parse(story.lease_until) < now
        ? ['Its process ended before its handler did. It runs again as soon as the app runs.']
        : ['Its handler runs now.']
    default:
      return [story.next_at === null ? 'It waits for its turn.' : `${story.next_at}  it is to run again`]
  }
}
