import { describe, expect, test } from 'vitest'
import { redact } from '../../../src/webhooks/inbox/redact.ts'
import { parseLossless } from '../../../src/webhooks/verify/lossless-json.ts'
import { canary, Findings } from '../../hardening/canaries.ts'

const written = (json: string) => JSON.stringify(redact(parseLossless(json)))
const redacted = (value: unknown) => JSON.parse(written(JSON.stringify(value)))

const KEPT = {
  id: 'evt_delivery_3f2b8c1e',
  type: 'application.approved',
  occurred_at: '2026-05-09T14:22:31Z',
  event_id: 'evt_x',
  organization_id: 'org_y',
  data: {
    status: 'approved',
    application_status: 'revision_requested',
    publish_status: 'published',
    role: 'attendee',
    approved_at: '2026-05-09T14:22:31.5+02:00',
    capacity: 40,
    registered_at: null,
    name: '',
    activities: [],
    participant: {},
  },
}

test('the documented members of the envelope, states, times, counts and the structure stay', () => {
  expect(redacted(KEPT)).toEqual(KEPT)
})

test('a number keeps its digits where it counts things, and its length elsewhere', () => {
  const json = '{"capacity":9007199254740993123,"amount":0.10,"price":1e400,"phone":9007199254740993123}'
  expect(written(json)).toBe(
    '{"capacity":9007199254740993123,"amount":0.10,"price":1e400,"phone":1111111111111111111}',
  )
})

/** Whatever says something of a person, in every spelling that a payload has for it. */
const PERSONAL = [
  'Ada King, Countess of Lovelace',
  'ada_king_countess_of_lovelace',
  'ada%40lovelace.example.net%20',
  'Ada+King+Countess+of+Lovelace',
  'ADA KING COUNTESS OF LOVELACE',
  'evt_ada_king_countess_lovelace',
  '+44 20 7946 0018 1234 5678 90',
  '19850312198503121985031219850312',
  '8d3f2b8c-0d4a-4a7b-9c55-0c2f7e1d9a10',
  'https://lovelace.net/ada/king',
  'approved.by.ada.king.lovelace',
]
const PLACES: Record<string, (text: string) => unknown> = {
  'a member nobody documented': text => ({ data: { contact_id: text, ssn: text, lat: text } }),
  'a name': text => ({ data: { name: text, email: text, phone: text } }),
  'an id': text => ({ data: { participant_id: text, user_id: text } }),
  'a state': text => ({ data: { status: text, role: text, type: text, capacity_state: text } }),
  'a time': text => ({ data: { approved_at: text, born_at: text } }),
  'a count': text => ({ data: { capacity: text } }),
  'a list': text => ({ data: { participants: [[text], text] } }),
  'the name of a member': text => ({ data: { [text]: { [text]: 1 } }, [text]: true }),
  'an answer': text => ({ data: { custom_form_fields: { [text]: text, status: text, other: [text] } } }),
  'the whole data': text => ({ data: text }),
}

test.for(Object.keys(PLACES))('nothing of a person stays in %s', place => {
  for (const text of PERSONAL) {
    const event = { ...KEPT, ...(PLACES[place]?.(text) as object) }
    const findings = new Findings()
    findings.add('other files', JSON.stringify(redacted(event)))
    expect([text, findings.of(canary('text', text))]).toEqual([text, []])
    // The search itself finds it in what was captured.
    findings.add('database', JSON.stringify(event))
    expect([text, findings.of(canary('text', text))]).toEqual([text, ['database']])
  }
})

test('numbers and truth values that say something of a person do not stay', () => {
  const answers = { wheelchair: true, shoe_size: 37, status: 'approved' }
  expect(
    redacted({
      ...KEPT,
      data: { dob: 19_850_312, lat: -51.5074, phone: 447_946, custom_form_fields: answers },
    }).data,
  ).toEqual({
    member_1: 11_111_111,
    member_2: -11.1111,
    phone: 111_111,
    custom_form_fields: { member_3: false, member_4: 11, member_5: expect.not.stringContaining('approved') },
  })
})

describe('a replacement', () => {
  test('a replacement is of the same form, and the same for the same', () => {
    const { data } = redacted({
      data: {
        name: 'Ada',
        first_name: 'Ada',
        last_name: 'King',
        email: 'ada@lovelace.net',
        participant_id: 'ptp_9',
        user_id: 'ada_9',
        application_id: '8d3f2b8c-0d4a-4a7b-9c55-0c2f7e1d9a10',
        description: 'no nuts',
        starts_at: '1815-12-10',
        created_at: '12:30',
      },
    })
    expect(data.name).toMatch(/^Zoë Ødegård \d$/)
    expect(data.first_name).toBe(data.name)
    expect(data.last_name).not.toBe(data.name)
    expect(data).toMatchObject({
      email: expect.stringMatching(/^person\d@example\.org$/),
      participant_id: expect.stringMatching(/^ptp_\d$/),
      user_id: expect.stringMatching(/^id_\d$/),
      application_id: expect.stringMatching(/^0{8}-0000-4000-8000-\d{12}$/),
      description: expect.stringMatching(/^text \d – gewählt$/),
      starts_at: '2000-01-01',
      created_at: '11:11',
    })
  })

  test('a replacement stands for __proto__ as for every name that is not documented', () => {
    expect(written('{"data":{"__proto__":{"name":"Ada"}}}')).toMatch(
      /^\{"data":\{"member_1":\{"member_2":"text /,
    )
  })
})
