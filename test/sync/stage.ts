import { setImmediate as turn } from 'node:timers/promises'
import { createSealer } from '../../src/keys/sealing.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { ApiClient, EventApi, PageRequest } from '../../src/revento/api.ts'
import type { Page, Row, Scope } from '../../src/revento/platform.ts'
import { createEventData, type ParticipantChange } from '../../src/storage/event-data.ts'
import { createSync } from '../../src/sync/index.ts'
import { appendWithin } from '../../src/webhooks/inbox/append.ts'
import { type TestDatabase, testDatabase } from '../helpers/database.ts'
import { erase, storeDelivery } from '../helpers/erase.ts'
import { tokenSet } from '../helpers/sealed.ts'

/** The connection of `tokenSet(1)`. */
export const KEY = { eventId: 'evt_1', organizationId: 'org_1' }
/** A third of a lease: this one passes in real time. No other wait of a run is as long. */
const RENEWAL_MS = 10_000
const NEVER = new AbortController().signal

export const person = (n: number, more: Row = {}): Row => ({
  id: `ptp_${n}`,
  name: `Person ${n}`,
  email: `p${n}@example.org`,
  application_status: 'approved',
  ...more,
})
export const people = (count: number) => Array.from({ length: count }, (_, n) => person(n + 1))

export interface MirrorStage {
  readonly database?: TestDatabase
  readonly tellFirst?: boolean
  readonly isFull?: () => boolean
}

/** The mirror against a list that a test changes, page by page; who sleeps is woken at once, and time has passed. */
export async function startMirror(o: MirrorStage = {}) {
  const database = o.database ?? (await testDatabase())
  const { query } = database
  let passed = 0
  const runtime = {
    ...systemRuntime,
    now: () => Date.now() + passed,
    monotonic: () => performance.now() + passed,
    async sleep(ms: number, signal?: AbortSignal) {
      if (ms === RENEWAL_MS) return systemRuntime.sleep(ms, signal)
      passed += ms
      await turn()
      signal?.throwIfAborted()
    },
  }
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
  const connections = createConnections(query, sealer, runtime, {
    log: { error() {}, warn() {} },
    platform: 'real',
  })
  const data = createEventData(query, runtime, 'real')
  const log: (Record<string, unknown> & { msg: string })[] = []
  const lines = { info: note, warn: note, error: note, child: () => lines }
  function note(fields: object, msg: string) {
    log.push({ ...fields, msg })
  }
  const stage = {
    ...{ database, query, runtime, connections, log },
    list: [] as Row[],
    activities: [] as Row[],
    /** Requests so far, as `cursor limit`, those for activities with that word before. */
    asked: [] as string[],
    /** Called before each page is read. */
    before: async (_n: number): Promise<unknown> => undefined,
    /** May give another page than the list has. */
    answer: (page: Page<Row>, _n: number): Page<Row> => page,
    /** How far Revento's clock is from ours. */
    platformAhead: 0,
    outcomes: [] as string[],
  }
  const platformNow = () => runtime.now() + stage.platformAhead

  async function pageOf(
    name: 'list' | 'activities',
    { cursor, limit = 25 }: PageRequest,
  ): Promise<Page<Row>> {
    stage.asked.push(`${name === 'list' ? '' : `${name} `}${cursor ?? 'first'} ${limit}`)
    const n = stage.asked.length
    await stage.before(n)
    const start = Number(cursor ?? 0)
    const more = start + limit < stage[name].length
    const page = {
      data: structuredClone(stage[name].slice(start, start + limit)),
      next_cursor: more ? String(start + limit) : null,
      has_more: more,
    }
    return stage.answer(page, n)
  }
  const apiClient: ApiClient = {
    forEvent(_key, withAccessToken, { onMoment, signal }) {
      const reading = (name: 'list' | 'activities', scope: Scope) => (request: PageRequest) =>
        withAccessToken(async () => {
          signal?.throwIfAborted()
          const at = platformNow()
          const page = await pageOf(name, request)
          onMoment?.(at)
          return page
        }, scope)
      const participants = reading('list', 'participants.read')
      return { participants, activities: reading('activities', 'program.read') } as EventApi
    },
    forUser: () => {
      throw new Error('nobody signed in')
    },
  }
  let told = 0
  const sync = createSync(
    { mode: 'real', syncEveryMs: 24 * 3_600_000 },
    {
      ...{
        query,
        apiClient,
        log: lines,
        choices: { tellFirstRun: o.tellFirst ?? false },
      },
      oauth: { connections, accessTokens: { use: (_key, call) => call('token'), settled: async () => {} } },
      inbox: {
        appendWithin: async (trx, deliveries) => {
          await appendWithin(trx, deliveries)
          return () => {
            told += deliveries.length
          }
        },
        isFull: () => o.isFull?.() ?? false,
        trouble: () => undefined,
      },
      metrics: { sync: outcome => void stage.outcomes.push(outcome) },
    },
    runtime,
  )
  const rows = () => query.selectFrom('participants').selectAll().orderBy('participant_id').execute()
  return Object.assign(stage, {
    sync,
    told: () => told,
    platformNow,
    connect: (scope = 'event.read') => connections.save({ ...tokenSet(1), scope }),
    /** Runs one comparison, with those that begin because of it. */
    async compare(signal = NEVER) {
      await sync.ask(KEY, 'asked')
      for (let n = 0; n < 20 && (await sync.worker.take(signal)) > 0; n++) await sync.worker.settled()
      const { last } = await sync.state(KEY)
      return last
    },
    /** A webhook that was handled. */
    async webhook(change: Omit<ParticipantChange, 'occurredAt'> & { at?: number }) {
      const { at = platformNow(), ...rest } = change
      const id = await storeDelivery(query, KEY, { state: 'done' })
      await data.saveParticipant({ id, ...KEY }, { ...rest, occurredAt: new Date(at).toISOString() })
    },
    erase: () => erase(query, runtime, KEY),
    rows,
    /** `id status`, and who has gone. */
    async stored() {
      return (await rows()).map(
        row => `${row.participant_id} ${row.application_status}${row.gone_at === null ? '' : ' gone'}`,
      )
    },
    /** What was told, as the handlers get it. */
    async news() {
      const found = await query
        .selectFrom('inbox')
        .selectAll()
        .where('provider', '=', 'sync')
        .orderBy('id')
        .execute()
      return found.map(
        row =>
          JSON.parse(Buffer.from(row.body ?? []).toString()) as {
            type: string
            data: { participant_id: string; changed?: string[]; participant: Row; before?: Row; run: number }
          },
      )
    },
  })
}
