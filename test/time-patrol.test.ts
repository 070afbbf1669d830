import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/**
 * Comparisons of a stored moment with now, or with a moment made from it, outside src/trusted-time.ts: by file, how many,
 * and why none of them removes, ends or holds something by a clock that may be wrong.
 */
const ALLOWED: Record<string, readonly [number, string]> = {
  'health.ts': [1, 'the monotonic clock'],
  'log-writer.ts': [1, 'the monotonic clock'],
  'oauth/access-token.ts': [1, 'asks Revento, and ends nothing by itself'],
  'oauth/asking.ts': [
    4,
    'when a connection is asked about: a jump costs one request, and the claim is in the row',
  ],
  'oauth/connections.ts': [1, 'a list of what ends soon, for a line in the log'],
  'oauth/ending-soon.ts': [1, 'a word on the page'],
  'oauth/flows.ts': [3, 'the steady clock says what now is'],
  'oauth/refresh-pace.ts': [
    3,
    'the pace of asking, bounded by an hour or a day; only Revento ends a connection',
  ],
  'oauth/refresh.ts': [1, 'the word for an end that Revento has said'],
  'revento/budget.ts': [4, 'relative to the moment the budget was stored, anchored by the monotonic clock'],
  'revento/limiter.ts': [1, 'the monotonic clock'],
  'revento/told.ts': [1, 'bounded by an hour'],
  'rotation/uses.ts': [
    2,
    'keeps the later of two moments; brings one that no right clock has noted back to now',
  ],
  'signals.ts': [1, 'the monotonic clock'],
  'status/live.ts': [1, 'the monotonic clock'],
  'status/session.ts': [1, 'the steady clock says what now is'],
  'storage/sealing-keys.ts': [1, 'a count for a person'],
  'webhooks/attempts-limit.ts': [1, 'a minute of tries, in memory'],
  'webhooks/claim.ts': [3, 'leases by LeaseEnds of the steady clock; a retry that begins early or late'],
  'webhooks/inline-answers.ts': [3, 'leases by LeaseEnds of the steady clock'],
  'webhooks/oldest.ts': [2, 'a figure for the metrics'],
  'webhooks/parked.ts': [2, 'a retry that begins early or late'],
  'webhooks/retention.ts': [5, 'before: from oldBefore of the steady clock'],
  'webhooks/settle.ts': [1, 'the oldest of a delivery’s runs, by their order'],
  'webhooks/upkeep.ts': [3, 'brings a moment that no right clock has noted back to a plausible one'],
}

const MOMENT = String.raw`[\w.]*(?:_at|_until|_since|not_before|next_at)`
const COMPARED = [
  // Kysely: where('expires_at', '<', …)
  new RegExp(`'${MOMENT}', '[<>]=?'`, 'g'),
  // SQL: expires_at > ${now}
  new RegExp(String.raw`\b${MOMENT} [<>]=? \$\{`, 'g'),
  // TypeScript: row.expires_at <= now, now - past.at < …, at > now
  /\b\w*(?:[Aa]t|_at|[Ss]ince|[Uu]ntil|[Bb]efore|begun|end) [<>]=? (?:now\b|\w+\.now\(\)|before\b)/g,
  /\bnow(?:\(\))?(?: - [\w.]+)? [<>]=? /g,
]

/** What compares a moment with now, a line each. */
const comparisons = (source: string): string[] =>
  source
    .split('\n')
    .filter(line => !/^\s*(\/\/|\/?\*)/.test(line) && COMPARED.some(form => line.search(form) !== -1))

const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .map(path => path.replaceAll('\\', '/'))
  .filter(path => path.endsWith('.ts') && path !== 'trusted-time.ts')
  .filter(path => !/^(sandbox|cli\/drill|storage\/migrations)\//.test(path))

test('nothing but trusted-time.ts removes, ends or holds by comparing now with a stored moment', () => {
  const found = sources.flatMap(path => {
    const lines = comparisons(readFileSync(`src/${path}`, 'utf8'))
    return lines.length === (ALLOWED[path]?.[0] ?? 0) ? [] : [{ path, lines }]
  })
  expect(found).toEqual([])
})

test.each([
  ".where('expires_at', '<', runtime.now())",
  'if (row.expires_at <= now) await remove(row)',
  'const isOld = now - row.finishedAt > DAY_MS',
  `sql\`delete from flows where expires_at < $${'{'}now}\``,
  'return refreshExpiresAt < runtime.now()',
])('the patrol sees %s', line => {
  expect(comparisons(line)).toHaveLength(1)
})
