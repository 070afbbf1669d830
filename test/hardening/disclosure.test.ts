import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import * as lists from '../../src/process/disclosure.ts'
import { createDescribeError } from '../../src/process/errors.ts'
import { redact } from '../../src/webhooks/inbox/redact.ts'
import { parseLossless } from '../../src/webhooks/verify/lossless-json.ts'
import { canary, Findings } from './canaries.ts'

/** Patrols the one list of what may leave: each of its names with canaries in it, and whoever goes around it. */
const PERSON = 'ada-lovelace.of.ockham+1815@example.org'
const SPELLED = [
  PERSON,
  PERSON.toUpperCase(),
  PERSON.replaceAll(/\W/g, '_'),
  `ptp_${PERSON.replaceAll(/\W/g, '_')}`,
  encodeURIComponent(PERSON),
  new URLSearchParams({ a: PERSON }).toString(),
  btoa(PERSON),
  `2026-05-09T14:22:31Z ${PERSON}`,
]
const NAMES = [...new Set([...lists.MEMBER_NAMES, ...lists.WORD_MEMBERS, ...lists.COUNTS, ...lists.MOMENTS])]
const { MEMBER_NAMES, WORD_MEMBERS, WORDS, COUNTS, OPEN_MEMBERS } = lists

const captured = (value: unknown) => JSON.stringify(redact(parseLossless(JSON.stringify(value))))

test.each(SPELLED)('no listed or other member lets it into a captured payload, at any depth: %s', text => {
  for (const name of [...NAMES, 'ssn', '__proto__x', text]) {
    const data = {
      [name]: text,
      [text]: { [name]: [text, { [name]: text }] },
      custom_form_fields: { [text]: text },
    }
    const findings = new Findings()
    findings.add('commands', captured({ [name]: text, [text]: text, data }))
    for (const sought of [text, PERSON]) expect([name, findings.of(canary(name, sought))]).toEqual([name, []])
  }
})

test('what is listed stays in a captured payload: states as words, counts as digits', () => {
  for (const name of WORD_MEMBERS)
    for (const word of WORDS)
      expect(captured({ data: { [name]: word } })).toBe(`{"data":{"${name}":"${word}"}}`)
  for (const name of COUNTS)
    expect(JSON.stringify(redact(parseLossless(`{"data":{"${name}":9007199254740993123}}`)))).toBe(
      `{"data":{"${name}":9007199254740993123}}`,
    )
  for (const name of OPEN_MEMBERS) expect(MEMBER_NAMES).toContain(name)
})

const SRC = fileURLToPath(new URL('../../src', import.meta.url))
const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter(name => name.endsWith('.ts'))
  .map(name => [name, readFileSync(join(SRC, name), 'utf8')] as const)
const filesWith = (form: RegExp) => sources.filter(([, text]) => form.test(text)).map(([name]) => name)

test('only these classes say their own text in production, and none of them takes a text from an error', () => {
  const classes = sources.flatMap(([, text]) => [...text.matchAll(/class (\w+) extends FixedTextError/g)])
  expect(classes.map(([, name]) => name).toSorted()).toEqual([
    ...['ApiError', 'AppError', 'ConnectionUnavailable', 'EraseTooLong', 'ErasureGoesOn'],
    ...['HandlerErased', 'HandlerLate', 'HandlerMistake'],
    ...['HandlerStopped', 'HandlerTimeout', 'LeaseLost', 'NotAnAnswer', 'RunIsOver', 'StorageError'],
    'TransactionTooLong',
    'UnsealError',
    'UnusablePage',
  ])
  const made = classes.map(([, name]) => name).join('|')
  expect(filesWith(new RegExp(`new (${made})\\([^),{]*(\\.message|String\\()`))).toEqual([])
})

test('a stack is read where errors are described, and by what a person runs', () => {
  const readers = filesWith(/\.stack\b/).filter(name => !name.startsWith('cli/'))
  expect(readers.toSorted()).toEqual([
    'builder/open-revento.ts',
    'main.ts',
    'pages/story.ts',
    'process/errors.ts',
    'process/mistake.ts',
  ])
})

test('an error code is let through by the list only', () => {
  const { fields } = createDescribeError(true)
  const codeOf = (code: unknown) => fields(Object.assign(new Error('no'), { code }))['code']
  expect(['ECONNRESET', 'UND_ERR_SOCKET', 'ERR_INVALID_CHAR'].map(codeOf)).not.toContain(undefined)
  for (const text of [...SPELLED, 'ADA_LOVELACE', 'EADA', 19_850_312]) expect(codeOf(text)).toBeUndefined()
})
