import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { leaksIn } from './canaries.ts'
import { realTime } from './clock.ts'
import type { Kind } from './draws.ts'
import type { Hook, Row, Run, Sighting } from './record.ts'
import { toldGone } from './sync.ts'
import { PAYLOAD } from './webhooks.ts'
import { EVENT, type World } from './world.ts'

/** What the sandbox sent of itself, by what its faults made of it. */
const SPOILED: Readonly<Record<string, Kind>> = {
  webhook_stale: 'stale',
  webhook_future: 'future',
  webhook_tampered: 'tampered',
  webhook_reserialised: 'tampered',
  webhook_wrong_secret: 'wrong_secret',
}

interface SentBySandbox {
  readonly envelope_id: string
  readonly type: string
  readonly attempts: readonly { at: string; ms: number; status: number | null; fault: string | null }[]
}

export async function sandboxHooks(world: World): Promise<Hook[]> {
  const { data } = await world.console<{ data: SentBySandbox[] }>('/deliveries')
  return data.flatMap(({ envelope_id, type, attempts }) =>
    attempts.map(({ at, ms, status, fault }) => ({
      kind: SPOILED[fault ?? ''] ?? 'new',
      envelope: envelope_id,
      type,
      person: null,
      aheadMs: 0,
      // It keeps its connections, also to a process that was killed: no answer says nothing here.
      slot: -1,
      at: Date.parse(at),
      ms,
      stalledMs: 0,
      status,
      error: null,
    })),
  )
}

/** Reads what is left when every process has ended. */
export async function sighting(
  world: World,
  unrecovered: string[],
  sent: readonly Hook[],
): Promise<Sighting> {
  const { store, apps, wires } = world
  const rows = await store.read<Record<string, unknown>>(
    `select id, envelope_id, type, state, last_error, body is not null as has_body from inbox
      where provider = 'revento' order by id`,
  )
  const tries = await store.read<Record<string, unknown>>('select inbox_id, outcome from runs')
  const people = await store.read<{ participant_id: string }>(
    `select participant_id from participants where event_id = '${EVENT}'`,
  )
  return {
    spans: apps.spans,
    ends: apps.ends,
    hooks: [...world.hooks, ...sent],
    visits: world.visits,
    tokenCalls: wires.tokenCalls,
    clock: world.clock.settings,
    endings: endingsOf(world),
    inFlight: [...wires.most].map(([name, most]) => ({ slot: Number(name.split(' ')[0]), most })),
    foreign: world.foreign,
    overLimit: wires.overLimit,
    toldGone: await toldGone(world),
    leaks: leaks(world),
    rows: rows.map(
      (row): Row => ({
        id: Number(row['id']),
        envelope: String(row['envelope_id']),
        type: String(row['type']),
        state: String(row['state']),
        error: row['last_error'] === null ? null : String(row['last_error']),
        hasBody: Boolean(row['has_body']),
      }),
    ),
    tries: tries.map(row => ({ inbox: Number(row['inbox_id']), outcome: String(row['outcome']) })),
    runs: runsOf(world.folder),
    people: people.map(row => row.participant_id),
    unrecovered,
    commands: world.commands,
  }
}

/** No secret, code, state, signature or payload in a log; none of the app's own secrets in an answer. */
function leaks({ folder, secrets, wires, answers }: World) {
  const all = new Map([...secrets, ...wires.secrets, [PAYLOAD, 'a payload']])
  const logs = Object.fromEntries(
    [0, 1].map(slot => [`app${slot}.log`, readIfThere(join(folder, `app${slot}.log`))]),
  )
  return leaksIn(all, { ...logs, 'an answer': Buffer.from(answers.join('\n')) })
}

function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}

function endingsOf({ folder, clock }: World): Sighting['endings'] {
  const lines = [0, 1].flatMap(slot =>
    readIfThere(join(folder, `app${slot}.log`))
      .toString()
      .split('\n'),
  )
  return lines
    .filter(line => line.startsWith('{') && line.includes('has to connect this event again: send the link'))
    .map(line => JSON.parse(line) as { time: string; reason: string })
    .map(({ time, reason }) => ({ at: realTime(clock.settings, Date.parse(time)), reason }))
}

interface Note {
  readonly inbox: number
  readonly run: string
  readonly what: 'begin' | 'done' | 'failed'
  readonly at: number
}

function runsOf(folder: string): Run[] {
  const lines = readIfThere(join(folder, 'runs.jsonl')).toString().split('\n').filter(Boolean)
  const notes = lines.map(line => JSON.parse(line) as Note)
  const ends = new Map(notes.filter(({ what }) => what !== 'begin').map(note => [note.run, note]))
  return notes
    .filter(({ what }) => what === 'begin')
    .map(({ inbox, run, at }) => {
      const end = ends.get(run)
      return { inbox, from: at, to: end?.at ?? null, ok: end?.what === 'done' }
    })
}
