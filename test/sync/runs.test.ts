import { expect, test } from 'vitest'
import { people, person, startMirror } from './stage.ts'

test('the first run copies every page and tells nobody', async () => {
  const s = await startMirror()
  await s.connect()
  s.list = people(120)
  expect(await s.compare()).toMatchObject({ outcome: 'done', pages: 3, counted: 120, added: 120, removed: 0 })
  expect(s.asked).toEqual(['first 50', '50 50', '100 50'])
  const rows = await s.rows()
  expect(rows).toHaveLength(120)
  expect(rows[0]).toMatchObject({
    name: 'Person 1',
    application_status: 'approved',
    last_type: '',
    gone_at: null,
  })
  expect(JSON.parse(rows[0]?.data ?? '')).toEqual(person(1))
  expect(await s.news()).toEqual([])
})

test('a later run tells what came, changed and went, once', async () => {
  const s = await startMirror()
  await s.connect()
  s.list = people(60)
  await s.compare()
  s.list = [...people(60).slice(1), person(99)].map(row =>
    row['id'] === 'ptp_7' ? { ...row, email: 'other@example.org', application_status: 'rejected' } : row,
  )
  expect(await s.compare()).toMatchObject({ outcome: 'done', added: 1, changed: 1, removed: 1 })
  const news = await s.news()
  expect(
    news.map(({ type, data }) => `${type} ${data.participant_id} ${data.changed ?? ''}`).toSorted(),
  ).toEqual([
    'participant.added ptp_99 ',
    'participant.changed ptp_7 application_status,email',
    'participant.removed ptp_1 ',
  ])
  expect(news.find(({ type }) => type === 'participant.changed')?.data.before).toEqual(person(7))
  expect(s.told()).toBe(3)
  expect((await s.stored()).filter(text => /ptp_(1|7|99) /.test(text))).toEqual([
    'ptp_1 approved gone',
    'ptp_7 rejected',
    'ptp_99 approved',
  ])
  expect(await s.compare()).toMatchObject({ outcome: 'done', added: 0, changed: 0, removed: 0 })
  expect(s.told()).toBe(3)
})
