import { randomInt, randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { until } from '../../helpers/wait.ts'
import { signedDelivery } from '../../helpers/webhook.ts'
import { SECRET, type Server, startApp } from './processes.ts'
import { type BenchStore, countOf, sqliteStore } from './stores.ts'

export interface CrashResult {
  readonly rounds: number
  readonly acknowledged: number
  /** Answered 200, and not in the inbox. */
  readonly lost: number
  /** Answered 200, and without a trace of its handler in the handler's own table. */
  readonly unhandled: number
  /** Its handler's end was recorded more than once. */
  readonly handledTwice: number
  /** Handlers that had ended, and ran again because the kill came before their outcome was stored. */
  readonly ranAgain: number
  /** From the last start until everything was handled, in ms. */
  readonly resumedMs: number
  /** Rounds that ended otherwise than asked: another exit code than 0, or later than 10 s after the signal. */
  readonly disorderly: number
}

/**
 * Starts the real program, loads it, kills it with -9 (or stops it) after a random while, and again; then starts it
 * once more and compares what was answered 200 with the inbox and with what the handlers wrote.
 */
export async function crashRounds(o: {
  folder: string
  rounds: number
  store?: BenchStore
  /** SIGKILL unless told. */
  signal?: 'SIGKILL' | 'SIGTERM' | 'SIGINT'
  /** As if the thirty seconds of the leases that the kills left had passed. */
  hurry?: boolean
  told?: (text: string) => void
}): Promise<CrashResult> {
  const acknowledged: string[] = []
  const store = o.store ?? sqliteStore(o.folder)
  const env = { ...store.env, NODE_OPTIONS: `--import ${new URL('noting-handlers.ts', import.meta.url)}` }
  let disorderly = 0
  for (let n = 1; n <= o.rounds; n++) {
    const app = await startApp(o.folder, env)
    const round = await loadUntilStopped(app, randomInt(0, 600), o.signal ?? 'SIGKILL').catch(async error => {
      await app.stop('SIGKILL')
      await store.close()
      throw error
    })
    acknowledged.push(...round.acknowledged)
    if (round.disorderly) disorderly++
    o.told?.(`round ${n} of ${o.rounds}: ${acknowledged.length} acknowledged`)
  }
  const app = await startApp(o.folder, env)
  try {
    const begun = performance.now()
    if (o.hurry) await store.rows(`update outcomes set next_at = next_at - 30000 where state = 'running'`)
    await allHandled(store)
    const resumedMs = Math.round(performance.now() - begun)
    return {
      rounds: o.rounds,
      acknowledged: acknowledged.length,
      ...(await compare(store, acknowledged)),
      ranAgain: endedAgain(o.folder),
      resumedMs,
      disorderly,
    }
  } finally {
    await app.stop()
    await store.close()
  }
}

const STUCK_MS = 60_000

/** However slow the machine is: what the kills left waits thirty seconds for the end of its leases, and nothing longer. */
async function allHandled(store: BenchStore): Promise<void> {
  let [least, since] = [Number.POSITIVE_INFINITY, performance.now()]
  for (;;) {
    const open = await countOf(store, `'pending', 'running'`)
    if (open === 0) return
    if (open < least) [least, since] = [open, performance.now()]
    if (performance.now() - since > STUCK_MS) throw new Error(`${open} deliveries were not handled for 60 s`)
    await delay(100)
  }
}

/** Every participant's id is its delivery's: the handler's own record tells which ones it has seen. */
async function compare(store: BenchStore, acknowledged: readonly string[]) {
  const column = async (sql: string) => new Set((await store.rows(sql)).map(row => String(row['id'])))
  const stored = await column('select delivery_id id from inbox')
  const handled = await column('select substr(participant_id, 5) id from participants')
  const twice = await column(
    `select inbox_id id from runs where outcome = 'done' group by inbox_id having count(*) > 1`,
  )
  return {
    lost: acknowledged.filter(id => !stored.has(id)).length,
    unhandled: acknowledged.filter(id => !handled.has(id)).length,
    handledTwice: twice.size,
  }
}

function endedAgain(folder: string): number {
  const file = join(folder, 'ended.txt')
  const ended = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []
  return ended.length - new Set(ended).size
}

const ORDERLY_MS = 10_000
const AT_LEAST = 20

async function loadUntilStopped(app: Server, afterMs: number, signal: NodeJS.Signals) {
  const agent = new Agent({ connections: 32 })
  const acknowledged: string[] = []
  const sender = async () => {
    for (;;) {
      const id = randomUUID()
      const event = { data: { id: `app_${id}`, participant_id: `ptp_${id}`, status: 'approved' } }
      const { body, headers } = signedDelivery({ id, event: { ...event, id: `evt_${id}` }, secret: SECRET })
      const answer = await request(app.url, { method: 'POST', body, headers, dispatcher: agent }).catch(
        () => {},
      )
      if (!answer) return
      await answer.body.dump()
      if (answer.statusCode === 200) acknowledged.push(id)
      // It refuses what comes while it stops, or faster than a slow machine commits.
      else if (answer.statusCode === 503) await delay(20)
      else throw new Error(`answered ${answer.statusCode}`)
    }
  }
  const senders = Promise.all(Array.from({ length: 32 }, sender))
  // However slow the machine is: a round in which nothing was answered shows nothing.
  await Promise.race([senders, until(() => acknowledged.length >= AT_LEAST, 60_000)])
  await delay(afterMs)
  const begun = performance.now()
  const code = await app.stop(signal)
  const late = performance.now() - begun > ORDERLY_MS
  await senders
  await agent.destroy()
  return { acknowledged, disorderly: code !== (signal === 'SIGKILL' ? null : 0) || late }
}
