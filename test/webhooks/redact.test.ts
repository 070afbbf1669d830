import { describe, expect, test } from 'vitest'
import { redact } from '../../src/webhooks/redact.ts'

const PRIVATE = {
  name: 'Ada Lovelace',
  first_name: 'Ada',
  email: 'ada@lovelace.net',
  phone: '+44 20 7946 0018',
  mobile_number: 447_946_001_866,
  birth_date: '1815-12-10',
  age: 36,
  bio: 'Writes programs; lives at 12 St James’s Square.',
  website: 'https://lovelace.net/ada',
  role: 'Ada is a speaker',
  approver_id: 'ada@lovelace.net',
  seen_at: 'in the garden of Ada',
  custom_form_fields: {
    dietary_notes: 'Ada eats no nuts',
    wheelchair: true,
    shoe_size: 37,
    likes: ['Ada’s cat'],
  },
}
const KEPT = {
  id: 'app_xyz',
  participant_id: 'ptp_001',
  user_ids: ['usr_def456', '3f2b8c1e-0d4a-4a7b-9c55-0c2f7e1d9a10'],
  type: 'application.approved',
  application_status: 'revision_requested',
  publish_status: 'published',
  approved_at: '2026-05-09T14:22:31.5+02:00',
  capacity: 40,
  page: 3,
  full: true,
  nothing: null,
  empty: '',
  list: [],
  open: {},
}

test('ids, times, states, numbers and the structure stay', () => {
  expect(redact(KEPT)).toEqual(KEPT)
})

test('nothing that a person wrote or is known by stays, and the structure does', () => {
  const told = redact({ data: PRIVATE, others: [PRIVATE] }) as { data: typeof PRIVATE; others: unknown[] }
  expect(JSON.stringify(told)).not.toMatch(/ada|lovelace|7946|1815|James|nuts|36|37|cat/i)
  expect(Object.keys(told.data)).toEqual(Object.keys(PRIVATE))
  expect(told.data.custom_form_fields).toMatchObject({ wheelchair: false, shoe_size: 1 })
  expect(told.others).toEqual([told.data])
})

describe('a replacement', () => {
  test('is of the same kind, and the same for the same', () => {
    const { a, b, c, d } = redact({ a: 'Ada', b: 'Ada', c: 'Eve', d: 'ada@lovelace.net' }) as Record<
      string,
      string
    >
    expect(a).toBe(b)
    expect(a).not.toBe(c)
    expect(d).toMatch(/^person\d@example\.org$/)
  })

  test('leaves __proto__ a member like others', () => {
    const told = redact(JSON.parse('{"__proto__":{"name":"Ada"}}')) as object
    expect(Object.keys(told)).toEqual(['__proto__'])
    expect(JSON.stringify(told)).not.toContain('Ada')
  })
})
