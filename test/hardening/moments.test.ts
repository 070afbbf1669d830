import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/**
 * Patrols the one module that judges time: whoever compares a stored moment with now beside it is found here, and has to
 * ask it instead, or to give in moments.txt the reason why a wrong clock can do no lasting harm there.
 */
const SRC = fileURLToPath(new URL('../../src/', import.meta.url))
/** The sandbox and the drill play Revento, in a time of their own; migrations run once. */
const ELSEWHERE =
  /^(sandbox|cli\/develop\/drill|storage\/migrations)\/|^process\/trusted-time\.ts$|^storage\/schema\.ts$/

const numbers = [...read('storage/schema.ts').matchAll(/^ {2}(\w+): .*\bnumber\b/gm)].flatMap(
  ([, name]) => name ?? [],
)
const COLUMNS = [...new Set(numbers.filter(name => /(^|_)(at|until|before|since)$/.test(name)))]
const camel = (column: string) => column.replaceAll(/_(\w)/g, (_, letter) => String(letter).toUpperCase())
const IN_CODE = [...COLUMNS, ...COLUMNS.map(camel), 'until', 'ends', 'endsAt', 'failingSince', 'notBefore']

const MOMENT = String.raw`(?:[\w#]+\.)*(?:${IN_CODE.join('|')})\b`
const NOW = String.raw`(?:\w+\.)*\bnow\b(?:\(\))?`
const FORMS = [
  `'(?:\\w+\\.)?(?:${COLUMNS.join('|')})', '[<>]=?'`,
  `(?<![\\w'.])${MOMENT}\\s*[<>]=?\\s`,
  `(?<=[^=]\\s)[<>]=?\\s*${MOMENT}`,
  `(?<![\\w'.])${NOW}\\s*[<>-]=?\\s`,
  `(?<=[^=]\\s)[<>-]=?\\s*\\(?${NOW}`,
  String.raw`\$\{\w+\}\s*[<>]=?\s`,
].map(form => new RegExp(form, 'g'))
/** Whether there is a moment at all. */
const IS_SET = /'>', 0\)| > 0\b/g
const MONOTONIC = /monotonic\(\)|performance\.now\(\)/

function read(name: string): string {
  return readFileSync(join(SRC, name), 'utf8')
}

/** The lines of a source in which a moment is compared. */
function compared(source: string): string[] {
  const blank = (text: string) => text.replaceAll(/[^\n]/g, ' ')
  const code = source.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, blank).replaceAll(IS_SET, blank)
  const found = FORMS.flatMap(form =>
    [...code.matchAll(form)].map(m => code.slice(0, m.index).split('\n').length),
  )
  const lines = source.split('\n').map(line => line.trim())
  return [...new Set(found)]
    .toSorted((a, b) => a - b)
    .map(n => lines[n - 1] ?? '')
    .filter(line => !MONOTONIC.test(line) || /(?<!performance\.)\bnow\b/.test(line))
}

/** `file: line`, under `# ` and the reason that they share. */
function allowed(): string[] {
  const text = readFileSync(new URL('moments.txt', import.meta.url), 'utf8')
  return text.split('\n').filter(line => line !== '' && !line.startsWith('# '))
}

test('a stored moment is compared with now in trusted-time alone, or harmlessly, as moments.txt says', () => {
  const names = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).map(name =>
    name.replaceAll('\\', '/'),
  )
  const sources = names.filter(name => name.endsWith('.ts') && !ELSEWHERE.test(name))
  const found = sources.flatMap(name => compared(read(name)).map(line => `${name}: ${line}`))
  // A project may have removed the file of a line.
  const left = allowed().filter(line => names.includes(line.split(': ', 1)[0] ?? ''))
  expect(found.toSorted()).toEqual(left.toSorted())
})

test('every column that holds a number is a moment by its name, or known to be none', () => {
  const known = `added after_delivery anew asks attempt attempts beats changed counted crashes data_delivery duplicate_of ending
    failed fence generation id inbox_id last_delivery last_id missed n name_delivery own_done pages pass refresh_failures removed
    replayed restarts runs seen_pass seen_run status status_delivery swept tells through through_id total under version`
  expect([...new Set(numbers)].filter(name => !COLUMNS.includes(name)).toSorted()).toEqual(known.split(/\s+/))
})

test.each([
  ".where('expires_at', '<', before)",
  "  .where(eb => eb('inbox.received_at', '>=', o.before))",
  'if (row.expires_at <= runtime.now()) return end(row)',
  'if (row.finishedAt + DAY_MS < now) remove(row)',
  'const old = runtime.now() - row.created_at > DAY_MS',
  'const left = Math.max(0, lease.until - clock.now())',
  'return now >= endsAt',
  'const left = Math.min(lease.until - runtime.now(), takenAt - runtime.monotonic())',
  'if (row.failures > 0 && row.refresh_noted_at <= moment)',
  'sql`delete from sessions where expires_at < ' + '$' + '{now}`',
  'sql`delete from x where ' + '$' + '{column} < ' + '$' + '{before}`',
  'if (\n    connection.consentExpiresAt < moment)',
])('a planted comparison is found: %s', planted => {
  expect(compared(`const a = 1\n${planted}\n`)).toHaveLength(1)
})

test.each([
  '// removed when row.expires_at < now',
  '/** Of those with expires_at < now. */',
  'const byAge = rows.toSorted((a, b) => isOlderThan(a.received_at, 0, now) ? 1 : 2)',
  'if (runtime.monotonic() - entry.since > DAY_MS) forget(entry)',
  "const received = { received_at: runtime.now(), state: 'done' }",
  'const until = (wait: Wait) => now',
])('what compares nothing with the wall clock is not: %s', source => {
  expect(compared(source)).toEqual([])
})
