import { expect, test } from 'vitest'
import { createActivities } from '../../src/builder/activities.ts'
import type { Row } from '../../src/revento/platform.ts'
import { sweep } from '../../src/storage/sweep.ts'
import { erase } from '../helpers/erase.ts'
import { KEY, people, startMirror } from './stage.ts'

const BOTH = 'event.read participants.read program.read'
const OWNER = { platform: 'real', event_id: KEY.eventId, organization_id: KEY.organizationId } as const
/** Ids of one length, so that they sort as they are numbered. */
const activity = (n: number, more: Row = {}): Row => ({
  ...{ id: `act_${1000 + n}`, title: `Activity ${n}`, status: 'scheduled', ...more },
})
const program = (count: number) => Array.from({ length: count }, (_, n) => activity(n + 1))

async function stage(o: Parameters<typeof startMirror>[0] = {}) {
  const s = await startMirror(o)
  const stored = createActivities(s.query, 'real', KEY)
  return Object.assign(s, {
    stored,
    here: async () => (await Array.fromAsync(stored.list())).map(({ row }) => row),
    runs: () =>
      s.query.selectFrom('sync_runs').selectAll().where('list', '=', 'activities').orderBy('id').execute(),
    askedFor: () => s.asked.filter(text => text.startsWith('activities')),
  })
}

/** Makes a stage on which a program of this many activities is copied. */
async function copied(count: number) {
  const s = await stage()
  await s.connect(BOTH)
  s.activities = program(count)
  await s.compare()
  return s
}

test('the activities are copied, page by page, beside the participants, and nobody is told', async () => {
  const s = await stage()
  await s.connect(BOTH)
  s.list = people(3)
  s.activities = program(230)
  expect(await s.compare()).toMatchObject({ list: 'participants', outcome: 'done', counted: 3 })
  expect(await s.runs()).toMatchObject([{ outcome: 'done', pages: 5, counted: 230, added: 230 }])
  expect([await s.here(), await s.rows()]).toMatchObject([program(230), { length: 3 }])
  expect(await s.stored.find('act_1001')).toMatchObject({ status: 'scheduled', goneAt: undefined })
  expect(await s.news()).toEqual([])
})

test.each(['', 'event.read participants.read'])(
  'a connection with the scopes “%s” is not asked for them',
  async scope => {
    const s = await stage()
    await s.connect(scope)
    s.activities = program(3)
    expect(await s.compare()).toMatchObject({ list: 'participants', outcome: 'done' })
    expect([await s.runs(), s.askedFor()]).toEqual([[], []])
  },
)

test('a later run keeps the copy right and tells what came, changed and went, once', async () => {
  const s = await copied(60)
  s.activities = [...program(60).slice(1), activity(99)].map(row =>
    row['id'] === 'act_1007' ? { ...row, status: 'cancelled', min_age: 'age_18_plus' } : row,
  )
  await s.compare()
  expect(await s.here()).toEqual(s.activities)
  const cancelled = await Array.fromAsync(s.stored.list({ status: 'cancelled' }))
  const gone = await Array.fromAsync(s.stored.list({ gone: true }))
  expect([...cancelled, ...gone].map(({ id }) => id)).toEqual(['act_1007', 'act_1001'])
  const news = async () => (await s.news()).map(({ type, data }) => ({ type, ...data })).toSorted(byType)
  const told = [
    { type: 'activity.added', activity_id: 'act_1099', activity: activity(99) },
    {
      type: 'activity.changed',
      activity_id: 'act_1007',
      changed: ['min_age', 'status'],
      before: activity(7),
    },
    { type: 'activity.removed', activity_id: 'act_1001', activity: activity(1) },
  ]
  expect(await news()).toMatchObject(told)
  await s.compare()
  expect(await news()).toHaveLength(3)
})
const byType = (a: { type: string }, b: { type: string }) => (a.type < b.type ? -1 : 1)

test('a run whose rows have no id fails, removes nothing, and stops no run of the participants', async () => {
  const s = await copied(3)
  s.activities = [{ title: 'Activity 1' }]
  s.list = people(2)
  expect(await s.compare()).toMatchObject({ list: 'participants', outcome: 'done', added: 2 })
  expect((await s.runs()).at(-1)).toMatchObject({ outcome: 'failed', problem: 'row_without_id' })
  expect(await s.here()).toEqual(program(3))
})

test('a process that stops gives the run of activities back; another goes on at its cursor', async () => {
  const s = await copied(230)
  s.activities = program(229)
  const stopping = new AbortController()
  s.before = async () => {
    if (s.asked.at(-1) === 'activities 100 50') stopping.abort()
  }
  s.asked.length = 0
  await s.compare(stopping.signal)
  const other = await stage({ database: s.database })
  other.activities = s.activities
  await other.compare()
  expect(other.askedFor()[0]).toBe('activities 150 50')
  expect((await s.runs()).at(-1)).toMatchObject({ outcome: 'done', counted: 229, removed: 1 })
})

test('an erasure takes the activities along, and leaves what was read under a newer consent', async () => {
  const s = await copied(230)
  await s.erase()
  const left = () => s.query.selectFrom('activities').selectAll().execute()
  expect([await left(), await s.runs()]).toEqual([[], []])
  await s.compare()
  expect(await left()).toEqual([])
  await s.connect(BOTH)
  await s.compare()
  // It went on after the consent, as where a process was killed in an erasure.
  await sweep(s.query, OWNER, s.runtime, new AbortController().signal)
  expect(await left()).toHaveLength(230)
})

test('a late notice that an earlier consent has ended takes what was read under that one', async () => {
  const s = await copied(3)
  await s.runtime.sleep(60_000)
  const ended = s.runtime.now()
  await s.runtime.sleep(60_000)
  await s.connect(BOTH)
  await erase(s.query, s.runtime, { ...KEY, occurredAt: new Date(ended).toISOString() })
  expect(await s.here()).toEqual([])
  await s.compare()
  expect(await s.here()).toEqual(program(3))
})
