import { expect, test } from 'vitest'
import { withoutPayload } from '../../src/webhooks/without-payload.ts'

const raw = (event: unknown) => Buffer.from(JSON.stringify(event))
const ADA = raw({
  id: 'evt_delivery_1',
  type: 'application.approved',
  data: {
    participant_id: 'ptp_001',
    status: 'approved',
    name: 'Ada',
    email: 'Ada@lovelace.net',
    note: 'a (b',
  },
})
const cleaned = (message: string, body = ADA) => withoutPayload(new TypeError(message), body) as Error

test.for([
  ['no seat for Ada <Ada@lovelace.net>', 'no seat for [payload] <[payload]>'],
  ['ptp_001 is approved already', 'ptp_001 is approved already'],
  ['Adaptor failed', 'Adaptor failed'],
  ['cannot read a (b', 'cannot read [payload]'],
  [
    "Cannot read properties of undefined (reading 'name')",
    "Cannot read properties of undefined (reading 'name')",
  ],
] as const)('"%s" is told as "%s"', ([message, told]) => {
  const error = cleaned(message)
  expect([error.name, error.message]).toEqual(['TypeError', told])
  expect(error.stack).toMatch(/^TypeError: [\s\S]*\n {4}at /)
  expect(error.stack?.split('\n')[0]).toBe(`TypeError: ${told}`)
})

test('what JSON.parse quotes of a part of it is taken out', () => {
  for (const text of ['Ada Lovelace', '{"name": Ada Lovelace, of London, and more of it}']) {
    let error: unknown
    try {
      JSON.parse(text)
    } catch (thrown) {
      error = withoutPayload(thrown, ADA)
    }
    expect((error as Error).stack).not.toMatch(/Ada|Lovelace/)
    expect((error as Error).message).toMatch(/is not valid JSON/)
  }
})

test('a body that is no JSON is a text of its own', () => {
  expect(cleaned('got: Call me, Ada', Buffer.from('Call me, Ada')).message).toBe('got: [payload]')
})

test('an error that cannot be changed is replaced; what is no error stays', () => {
  const frozen = withoutPayload(Object.freeze(new Error('Ada')), ADA) as Error
  expect(`${frozen.message}${frozen.stack}`).not.toContain('Ada ')
  expect(frozen.message).toMatch(/cannot be changed/)
  expect(withoutPayload('Ada', ADA)).toBe('Ada')
})
