import { handled } from './handling.ts'
import type { Day, World } from './open-world.ts'
import { EVENT, expect, Failed, ORGANIZATION } from './world.ts'

interface Run {
  readonly id: number
  readonly outcome: string | null
  readonly waits_for: string | null
  readonly pages: number
}

/** This many people fill three further pages. */
const MORE = 150
const COMPARED_MS = 60_000
/** What a run reads within a moment of an event stays as the event said. */
const SETTLED_MS = 2_500

const people = (world: World, path: string, fields: object) =>
  world.console<{ participant_ids: string[] }>(`/people${path}`, { event_id: EVENT, ...fields })

const newest = (world: World): Run | undefined =>
  world.read<Run>('select id, outcome, waits_for, pages from sync_runs order by id desc limit 1')[0]

/** Presses the organizer's button for a comparison. */
async function ask(world: World): Promise<void> {
  const page = await world.get('/', 'text/html')
  const [, form_token = ''] = /name="form_token" value="([^"]+)"/.exec(page.text) ?? []
  const form = { event_id: EVENT, organization_id: ORGANIZATION, form_token }
  const answer = await world.post('/sync', new URLSearchParams(form).toString())
  if (answer.status !== 200)
    throw new Failed(`POST /sync was answered ${answer.status}: ${answer.text}`, 'src/status')
}

/** Makes a comparison, and waits for it and for those that begin because of it. */
async function compare(world: World): Promise<void> {
  await ask(world)
  await world.until('a comparison is done', COMPARED_MS, () => newest(world)?.outcome === 'done')
}

/** Connects, and has 186 people copied once the sandbox's own story is over. */
async function copied(world: World): Promise<void> {
  await world.start()
  await world.connect('quiet')
  await people(world, '', { count: MORE })
  await world.until('four webhooks were sent', 20_000, async () => {
    const { data } = await world.console<{ data: unknown[] }>('/deliveries')
    return data.length >= 4
  })
  await settled(world)
  await compare(world)
  await expectSameList(world)
}

async function expectSameList(world: World): Promise<void> {
  const { data } = await world.console<{ data: Record<string, unknown>[] }>(`/people?event_id=${EVENT}`)
  const stored = world.read<Record<string, string>>(
    `select participant_id, name, application_status from participants where event_id = '${EVENT}' and gone_at is null`,
  )
  const lines = stored.map(row => `${row['participant_id']} ${row['name']} ${row['application_status']}`)
  const wanted = data.map(row => `${row['id']} ${row['name']} ${row['application_status']}`)
  const differing = [...new Set(lines).symmetricDifference(new Set(wanted))]
  expect('people who differ from Revento’s list', differing.slice(0, 5), [])
}

const news = (world: World) =>
  world.read<{ type: string; n: number }>(
    `select type, count(*) n from inbox where provider = 'sync' group by type order by type`,
  )

const settled = (world: World) => {
  const at = performance.now() + SETTLED_MS
  return world.until('a moment has passed', 2 * SETTLED_MS, () => performance.now() > at)
}

export const MIRROR_DAYS: readonly Day[] = [
  {
    name: 'missed_webhooks',
    title: 'webhooks never come, and cancellations have none',
    why: 'Revento names no webhook for a cancellation: only a comparison finds it, and whom a lost one was about.',
    look: 'src/sync/compare.ts',
    fault: 'webhook_lost',
    async run(world) {
      await copied(world)
      await world.console('/faults/clear', {})
      await world.fault('webhook_lost', { count: 1000 })
      await people(world, '', { count: 3, tell: true })
      await people(world, '/edit', { participant_id: 'ptp_005', status: 'approved', tell: true })
      await people(world, '/cancel', { count: 2 })
      await people(world, '/remove', { participant_id: 'ptp_030' })
      await settled(world)
      await compare(world)
      await expectSameList(world)
      expect('what the handlers of sync were told', news(world), [
        { type: 'participant.added', n: 3 },
        { type: 'participant.changed', n: 3 },
        { type: 'participant.removed', n: 1 },
      ])
      await handled(world)
    },
  },
  {
    name: 'list_interrupted',
    title: 'a list breaks off in its middle: refused cursor, 429, 5xx, half an answer',
    why: 'Half of a list must never pass for the whole: nobody may count as gone because of it.',
    look: 'src/sync/run.ts',
    fault: 'api_cursor_refused',
    async run(world) {
      await copied(world)
      for (const name of ['api_cursor_refused', 'api_page_limited', 'api_truncated', 'api_500']) {
        await world.fault(name)
        await compare(world)
        expect(`people told of after ${name}`, news(world), [])
      }
      await expectSameList(world)
    },
  },
  {
    name: 'moving_pages',
    title: 'people come and go while the list is read',
    why: 'Pages move on under the reader: whom a border hides has not left.',
    look: 'src/sync/mirror.ts',
    fault: 'api_page_limited',
    async run(world) {
      await copied(world)
      await world.fault('api_page_limited')
      await ask(world)
      await world.until(
        'the run waits between two pages',
        20_000,
        () => newest(world)?.waits_for === 'limits',
      )
      const gone = await people(world, '/remove', { count: 4 })
      await people(world, '', { count: 2 })
      await world.until('the comparison is done', COMPARED_MS, () => newest(world)?.outcome === 'done')
      const told = world.read<{ body: Uint8Array }>(
        `select body from inbox where provider = 'sync' and type = 'participant.removed'`,
      )
      const removed = told.map(({ body }) => JSON.parse(Buffer.from(body).toString()).data.participant_id)
      const wrong = removed.filter(id => !gone.participant_ids.includes(id))
      expect('people told of as removed who are there', wrong, [])
      await settled(world)
      await compare(world)
      await expectSameList(world)
    },
  },
  {
    name: 'kill_in_comparison',
    title: 'kill -9 in the middle of a comparison',
    why: 'It goes on where it was, under another lease, and what it has told it does not tell again.',
    look: 'src/sync/runs.ts',
    fault: 'api_page_limited',
    async run(world) {
      await copied(world)
      await people(world, '/remove', { participant_id: 'ptp_001' })
      await world.fault('api_page_limited')
      await ask(world)
      await world.until(
        'the run waits between two pages',
        20_000,
        () => newest(world)?.waits_for === 'limits',
      )
      await world.kill()
      const before = newest(world)
      await world.start()
      await world.until('it goes on and ends', COMPARED_MS + 30_000, () => newest(world)?.outcome === 'done')
      expect('the run that went on', newest(world)?.id, before?.id)
      expect('what was told', news(world), [{ type: 'participant.removed', n: 1 }])
      await expectSameList(world)
    },
  },
]
