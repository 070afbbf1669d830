import { expect, test } from 'vitest'
import { AppError } from '../../src/http/errors.ts'
import { createDescribeError, StorageError } from '../../src/process/errors.ts'
import { ApiError } from '../../src/revento/api.ts'
import { canary, Findings } from '../hardening/canaries.ts'

const [production, development] = [createDescribeError(true), createDescribeError(false)]

const SECRET = 'Ada-Lovelace-1985-03-12-ada@example.org'
const PLAIN = 'ada_lovelace_of_london_and_ockham'
const SPELLED: Record<string, string> = {
  'as it is': SECRET,
  'like a code': PLAIN,
  'like a class': 'AdaLovelaceOfLondonError',
  'like an upper-case code': 'ADA_LOVELACE_OF_LONDON',
  loud: SECRET.toUpperCase(),
  'in a query': new URLSearchParams({ a: SECRET }).toString(),
  'in a path': encodeURIComponent(SECRET),
  backwards: [...SECRET].toReversed().join(''),
  'as digits': '19850312198503121985031219850312',
  'over lines': `${SECRET}\n    at ${SECRET} (file:///${SECRET}.ts:1:1)`,
}

/** Wherever an error can carry a text. */
const CARRIED: Record<string, (text: string) => unknown> = {
  message: text => new Error(text),
  name: text => Object.assign(new Error('no'), { name: text }),
  code: text => Object.assign(new Error('no'), { code: text }),
  'other members': text => Object.assign(new Error('no'), { [text]: text, detail: text }),
  cause: text => new Error('no', { cause: new Error(text) }),
  errors: text => new AggregateError([new Error(text)], text),
  stack: text => Object.assign(new Error('no'), { stack: text }),
  'a frame of no file': text =>
    Object.assign(new Error('no'), { stack: `Error: no\n    at ${text} (${import.meta.url}/${text}:1:1)` }),
  'an own constructor': text => Object.assign(new Error('no'), { constructor: { name: text } }),
  'a DOMException': text => new DOMException(text, text),
  'no error': text => text,
  'an object': text => ({ message: text }),
  'the cause of a StorageError': text =>
    new StorageError('disk_full', { cause: Object.assign(new Error(text), { code: text, detail: text }) }),
  'the cause of an AppError': text =>
    new AppError('internal_error', { cause: new Error(text), reason: text }),
}

test.for(Object.keys(CARRIED))('in production nothing of it leaves through: %s', carrier => {
  for (const [way, text] of Object.entries(SPELLED)) {
    const error = CARRIED[carrier]?.(text)
    const findings = new Findings()
    findings.add('log', JSON.stringify(production.fields(error)))
    findings.add('database', production.text(error))
    for (const sought of [SECRET, PLAIN, text, text.slice(0, 24)])
      expect([way, findings.of(canary(way, sought))]).toEqual([way, []])
  }
})

test('in development the text and the stack are told: the search finds what is there', () => {
  for (const text of Object.values(SPELLED)) {
    const findings = new Findings()
    findings.add('log', JSON.stringify(development.fields(new Error(text))))
    findings.add('database', development.text(new Error(text)))
    expect(findings.of(canary('text', text.split('\n', 1)[0] ?? ''))).toEqual(['log', 'database'])
  }
  expect(development.text(new TypeError('no\n  such')).split('\n')).toEqual([
    'TypeError: no such',
    expect.stringMatching(/^ {4}at .*errors\.test\.ts[?:]/),
    ...Array(development.text(new TypeError('no')).split('\n').length - 2).fill(
      expect.stringMatching(/^ {4}at /),
    ),
  ])
})

test('in production an error is told by its class, its code and its places in this project', () => {
  class SeatTaken extends Error {}
  const error = Object.assign(new SeatTaken('Ada'), { code: 'ECONNRESET' })
  const here = expect.stringMatching(/^test\/process\/errors\.test\.ts:\d+$/)
  expect(production.fields(error)).toEqual({ type: 'SeatTaken', code: 'ECONNRESET', at: [here] })
  expect(production.text(error)).toMatch(/^SeatTaken at test\/process\/errors\.test\.ts:\d+$/)
  expect(production.text(AbortSignal.abort().reason)).toMatch(/^AbortError/)
})

test('an error whose text stands in the source keeps it', () => {
  expect(production.text(new ApiError('token_expired', 401, 'r'))).toBe(
    'ApiError: Revento answered token_expired',
  )
  const full = Object.assign(new Error('database or disk is full: Ada'), {
    errcode: 13,
    errstr: 'database or disk is full',
  })
  expect(production.fields(new StorageError('disk_full', { cause: full }))).toMatchObject({
    message: 'storage: disk_full',
    code: 'disk_full',
    cause: { type: 'Error', errcode: 13, errstr: 'database or disk is full' },
  })
})

test('a place is told only where there is such a file with such a line', () => {
  const at = (line: number) =>
    Object.assign(new Error('no'), { stack: `Error: no\n    at f (${import.meta.url}:${line}:1)` })
  expect(production.text(at(3))).toBe('Error at test/process/errors.test.ts:3')
  expect(production.text(at(19_850))).toBe('Error')
})

test('it never throws, whatever was thrown', () => {
  const trap = new Proxy(new Error('no'), {
    get() {
      throw new Error('trap')
    },
  })
  const odd = Object.defineProperty(new Error('no'), 'message', { get: () => Symbol('no') })
  for (const thrown of [trap, odd, null, undefined, 1n, Symbol('x'), Object.create(null)])
    for (const { fields, text } of [production, development]) {
      expect(fields(thrown)).toHaveProperty('type')
      expect(typeof text(thrown)).toBe('string')
    }
})
