import { describe, expect, test } from 'vitest'
import type { Row } from '../../src/revento/platform.ts'
import { KEY, people, person, startMirror } from './stage.ts'

/** Connected, and compared once with this many people. */
async function copied(count: number, o: Parameters<typeof startMirror>[0] = {}) {
  const s = await startMirror(o)
  await s.connect()
  s.list = people(count)
  await s.compare()
  s.asked.length = 0
  // A page is dated to the second before it, as its Date is.
  await s.runtime.sleep(5_000)
  return s
}

const set = (s: { list: Row[] }, n: number, change: Row) => {
  s.list = s.list.map(row => (row['id'] === `ptp_${n}` ? { ...row, ...change } : row))
}
const typesOf = (news: { type: string; data: { participant_id: string } }[]) =>
  news.map(({ type, data }) => `${type} ${data.participant_id}`)

describe('who counts as gone', () => {
  test('somebody whom a removal moves over the border of a page while it is turned stays', async () => {
    const s = await copied(120)
    s.before = async n => {
      // ptp_51 moves to the page that was read already.
      if (n === 2) s.list = s.list.filter(row => row['id'] !== 'ptp_3')
    }
    expect(await s.compare()).toMatchObject({ outcome: 'done', removed: 1 })
    const [first, second] = [
      ['first 50', '50 50', '100 50'],
      ['first 47', '47 47', '94 47'],
    ]
    // The second pass misses ptp_3, whom the first had seen: only a third can say whether it has hidden somebody.
    expect(s.asked).toEqual([...first, ...second, ...first])
    expect(typesOf(await s.news())).toEqual(['participant.removed ptp_3'])
  })

  test('however people come and go while the pages are turned, nobody who stays is told to be gone or new', async () => {
    const s = await copied(230)
    const stays = new Set(s.list.map(row => row['id']))
    let made = 1000
    for (let round = 0; round < 6; round++) {
      s.before = async n => {
        const at = (n * 37 + round * 11) % s.list.length
        if (n % 3 === 0) s.list = s.list.toSpliced(at, 0, person(made++))
        else {
          stays.delete(s.list[at]?.['id'])
          s.list = s.list.toSpliced(at, 1)
        }
      }
      expect(await s.compare()).toMatchObject({ outcome: 'done' })
    }
    s.before = async () => {}
    await s.compare()
    const told = typesOf(await s.news()).filter(text => stays.has(text.split(' ')[1]))
    expect(told).toEqual([])
    const here = (await s.rows()).filter(row => row.gone_at === null).map(row => row.participant_id)
    expect(here.toSorted()).toEqual(s.list.map(row => String(row['id'])).toSorted())
  })

  test('somebody of whom an event told while the run was under way is not judged by it', async () => {
    const s = await copied(60)
    s.before = async n => {
      if (n === 2)
        await s.webhook({
          participantId: 'ptp_new',
          applicationStatus: 'pending',
          type: 'application.submitted',
        })
    }
    expect(await s.compare()).toMatchObject({ removed: 0 })
    s.before = async () => {}
    await s.runtime.sleep(5_000)
    expect(await s.compare()).toMatchObject({ removed: 1 })
  })

  test('who comes back is told as added, by a list and not again by a webhook that told of it first', async () => {
    const s = await copied(3)
    s.list = people(2)
    await s.compare()
    expect(await s.stored()).toContain('ptp_3 approved gone')
    s.list = people(3)
    await s.compare()
    s.list = people(2)
    await s.compare()
    await s.runtime.sleep(5_000)
    // An event from before the list does not bring anybody back.
    const late = s.platformNow() - 3_600_000
    await s.webhook({ participantId: 'ptp_3', type: 'participant.registered', at: late })
    expect(await s.stored()).toContain('ptp_3 approved gone')
    await s.webhook({ participantId: 'ptp_3', type: 'participant.registered' })
    expect(await s.stored()).toContain('ptp_3 approved')
    s.list = people(3)
    await s.runtime.sleep(5_000)
    await s.compare()
    expect(typesOf(await s.news())).toEqual([
      'participant.removed ptp_3',
      'participant.added ptp_3',
      'participant.removed ptp_3',
    ])
  })
})

describe('events and pages', () => {
  test('a page that was read before an event changes nothing of what the event said', async () => {
    const s = await copied(3)
    s.answer = page => page
    const read = structuredClone(s.list)
    set(s, 1, { application_status: 'rejected', name: 'New name' })
    s.answer = page => ({ ...page, data: read })
    s.before = async () => {
      await s.runtime.sleep(1_000)
      await s.webhook({
        ...{ participantId: 'ptp_1', type: 'participant.profile_updated', isTheirs: true },
        ...{ name: 'New name', applicationStatus: 'rejected', snapshot: s.list[0] ?? {} },
      })
    }
    expect(await s.compare()).toMatchObject({ outcome: 'done', changed: 0 })
    const [row] = await s.rows()
    expect(row).toMatchObject({ name: 'New name', application_status: 'rejected' })
    expect(JSON.parse(row?.data ?? '')).toMatchObject({ name: 'New name', application_status: 'rejected' })
    expect(await s.news()).toEqual([])
  })

  test('an event from before the page, that comes after it, changes nothing of what the page said', async () => {
    const s = await copied(2)
    const before = s.platformNow()
    await s.runtime.sleep(5_000)
    set(s, 1, { application_status: 'rejected', email: 'new@example.org' })
    await s.compare()
    const late = { participantId: 'ptp_1', type: 'participant.profile_updated', isTheirs: true, at: before }
    await s.webhook({ ...late, applicationStatus: 'approved', snapshot: person(1) })
    const [row] = await s.rows()
    expect(row?.application_status).toBe('rejected')
    expect(JSON.parse(row?.data ?? '')['email']).toBe('new@example.org')
  })

  test('a wrong clock of ours decides nothing: pages are dated by Revento’s', async () => {
    const s = await copied(2)
    // Ours is an hour ahead.
    s.platformAhead = -3_600_000
    await s.compare()
    await s.runtime.sleep(5_000)
    await s.webhook({ participantId: 'ptp_1', applicationStatus: 'rejected', type: 'application.rejected' })
    // Of before the first page, which was dated with the right clock.
    s.platformAhead = 0
    await s.runtime.sleep(5_000)
    await s.webhook({ participantId: 'ptp_1', applicationStatus: 'rejected', type: 'application.rejected' })
    expect((await s.stored())[0]).toBe('ptp_1 rejected')
  })

  test('what a webhook told is not told again; what it did not is', async () => {
    const s = await copied(4)
    const review = { last_reviewed_at: '2026-05-10T10:00:00Z', last_review_action: 'rejected' }
    set(s, 1, { application_status: 'rejected', ...review })
    await s.webhook({ participantId: 'ptp_1', applicationStatus: 'rejected', type: 'application.rejected' })
    set(s, 2, { email: 'new@example.org', updated_at: '2026-05-10T10:00:00Z' })
    await s.webhook({
      ...{ participantId: 'ptp_2', type: 'participant.profile_updated', isTheirs: true },
      snapshot: person(2, { email: 'new@example.org' }),
    })
    // Handlers were told of one of the two changes.
    set(s, 3, { application_status: 'pending', email: 'lost@example.org' })
    await s.webhook({ participantId: 'ptp_3', applicationStatus: 'pending', type: 'application.submitted' })
    // The webhook told of another state than the one that followed.
    set(s, 4, { application_status: 'approved' })
    await s.webhook({ participantId: 'ptp_4', applicationStatus: 'rejected', type: 'application.rejected' })
    s.list = [...s.list, person(5)]
    await s.webhook({ participantId: 'ptp_5', applicationStatus: 'approved', type: 'application.submitted' })
    await s.runtime.sleep(5_000)
    await s.compare()
    const news = await s.news()
    expect(news.map(({ data }) => [data.participant_id, data.changed])).toEqual([
      ['ptp_3', ['email']],
      ['ptp_4', ['application_status']],
    ])
    expect((await s.rows()).map(row => row.application_status)).toEqual([
      ...['rejected', 'approved', 'pending', 'approved', 'approved'],
    ])
  })
})

test('an ended connection stops its run, and an erased one takes the copy along; nothing brings it back', async () => {
  const s = await copied(120)
  s.before = async n => {
    if (n === 2) await s.connections.disconnect(KEY)
  }
  expect(await s.compare()).toMatchObject({ outcome: 'stopped', problem: 'connection_ended', pages: 1 })
  await s.connect()
  s.before = async n => {
    if (n === 5) await s.erase()
  }
  s.asked.length = 0
  await s.compare()
  s.before = async n => {
    if (n === 2) await s.erase()
  }
  s.asked.length = 0
  await s.connect()
  await s.compare()
  expect([await s.rows(), (await s.sync.state(KEY)).open, (await s.sync.state(KEY)).last]).toEqual([
    [],
    undefined,
    undefined,
  ])
  // Handlers were told nothing of them, because nothing was known of them.
  s.before = async () => {}
  await s.connect()
  expect(await s.compare()).toMatchObject({ outcome: 'done', added: 120 })
  expect(await s.news()).toEqual([])
})

test('a new consent begins anew: the run of the old one ends', async () => {
  const s = await copied(120)
  s.before = async n => {
    if (n === 2) await s.connect()
  }
  await s.compare()
  s.before = async () => {}
  expect(await s.compare()).toMatchObject({ outcome: 'done', pages: 3 })
  const runs = await s.query.selectFrom('sync_runs').select(['outcome', 'problem']).orderBy('id').execute()
  expect(runs.map(({ outcome, problem }) => `${outcome} ${problem}`)).toEqual([
    'done null',
    'stopped connected_again',
    'done null',
  ])
})

test('the first run tells of everybody where the builder wants it', async () => {
  const s = await copied(60, { tellFirst: true })
  expect(typesOf(await s.news())).toHaveLength(60)
  const [first] = await s.news()
  expect(first).toMatchObject({
    ...{ type: 'participant.added', event_id: 'evt_1', organization_id: 'org_1' },
    data: { participant_id: 'ptp_1', participant: person(1) },
  })
})
