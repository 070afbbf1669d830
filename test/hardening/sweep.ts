import { expect } from 'vitest'
import { exchange } from './raw.ts'
import { codeOf, judge, judgeAfter, type Surface } from './surface.ts'

/** These are first lines of requests. */
export const GET = 'GET /health HTTP/1.1'
export const POST = 'POST /webhooks/revento HTTP/1.1'
/** These are answers, as `status code`. */
export const OK = '200'
export const BAD = '400 bad_request'
export const NOT_FOUND = '404 not_found'
export const TOO_LARGE = '431 headers_too_large'

/** What is sent, and `status code` of each answer, in their order. */
export type Row = [what: string, bytes: string, ...answers: string[]]

/** Sends each row, and fails with those rows that were answered in another way than they say. */
export async function sweep(surface: Surface, rows: readonly Row[], stored = 0): Promise<void> {
  const before = await surface.rows()
  const wrong: string[] = []
  let slowest = { what: '', ms: 0 }
  for (const [what, bytes, ...expected] of rows) {
    const startedAt = performance.now()
    const { answers, rest, closed } = await exchange(surface.port, bytes)
    const ms = performance.now() - startedAt
    if (ms > slowest.ms) slowest = { what, ms }
    const given = answers.map(codeOf)
    if (given.join() !== expected.join() || rest !== '' || !closed)
      wrong.push(
        `${what}: ${given.join()} instead of ${expected.join()}${closed ? '' : ', left open'}${rest}`,
      )
    for (const answer of answers) judge(answer, surface, what)
  }
  expect(wrong).toEqual([])
  await judgeAfter(surface, before + stored)
  console.log(`${rows.length} messages; the slowest took ${slowest.ms.toFixed(1)} ms: ${slowest.what}`)
}
