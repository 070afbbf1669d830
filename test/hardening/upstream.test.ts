import { setTimeout as delay } from 'node:timers/promises'
import { request } from 'undici'
import { expect, test } from 'vitest'
import { inTurn } from '../helpers/rounds.ts'
import { UPSTREAM_TEXT } from '../oauth/harness.ts'
import {
  type Rows,
  unusableAtFirst,
  unusablePages,
  unusableTokens,
  usablePages,
  usableTokens,
} from './upstream-bodies.ts'
import {
  logLines,
  type Meets,
  type Passed,
  SECRET,
  type Stage,
  shown,
  startStage,
  stored,
} from './upstream-stage.ts'
import { bombs, endless, nonsense, redirects, refusals, type Wires } from './upstream-wires.ts'

/** What the browser is told, and for a refresh what becomes of the connection. */
type Expected = Partial<Record<Meets, string>>

const WAITS = '502 upstream_error, then connected idle'
const LOST = '502 upstream_error, then connected sent'
/** And the API says of every token of this event that it has expired. */
const RENEWED = '502 upstream_error, then renewed'
const FAILS: Expected = { exchange: '502 upstream_error', refresh: LOST, api: '502 upstream_error' }
const MAY_PASS: Expected = { ...FAILS, refresh: WAITS }
const TIMES_OUT: Expected = {
  exchange: '504 upstream_timeout',
  refresh: '504 upstream_timeout, then connected sent',
  api: '504 upstream_timeout',
}
/** A flood ends in one of these two ways, since the app reads it for as long as a request may take. */
const EITHER = '502 upstream_error | 504 upstream_timeout'
const CUT_OFF: Expected = { exchange: EITHER, api: EITHER }
const TOKENS: Expected = { exchange: '502 upstream_error', refresh: LOST }

const same = (wires: Wires): Rows =>
  Object.fromEntries(Object.entries(wires).map(([name, wire]) => [name, () => wire]))

/**
 * Every row in one of the places where it may be met, in all of them in CI, all at once. Only what went otherwise is
 * given.
 */
async function unexpected(stage: Stage, rows: Rows, expected: Expected, passed: Passed[]): Promise<string[]> {
  const meets = Object.entries(expected) as [Meets, string][]
  const found = Object.entries(rows).flatMap(([name, row], n) =>
    inTurn(meets, n).map(async ([where, wanted]) => {
      const pass = await stage.pass(where, row)
      passed.push(pass)
      const outcome = outcomeOf(stage, where, pass)
      const any = (EXCEPTIONS[`${name}, ${where}`] ?? wanted).split(' | ')
      return any.includes(outcome) ? [] : [`${name}, ${where}: ${outcome}`]
    }),
  )
  return (await Promise.all(found)).flat()
}

/** 400 is the caller's fault, whatever else the answer says. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  '400 with an error that is a path, api': '400 invalid_request',
  // A gateway's answer: what happened behind it is not known.
  '502 with nothing, refresh': LOST,
}

function outcomeOf(stage: Stage, meets: Meets, { event, reply }: Passed): string {
  const said = reply.status < 300 ? String(reply.status) : `${reply.status} ${reply.json()['error']}`
  const row = stored(stage, event)
  if (meets === 'exchange') return row && reply.status !== 200 ? `${said}, but stored` : said
  if (meets === 'api' || reply.status === 200) return said
  if (row?.state === 'connected' && row.version > 1) return `${said}, then renewed`
  if (row?.state === 'connected') return `${said}, then connected ${row.refresh_phase}`
  return `${said}, then ${row?.state} ${row?.reason}, shown ${shown(stage, event)} times`
}

const memory = async ({ metricsUrl }: Stage) =>
  Number(/^process_resident_memory_bytes (\S+)/m.exec(await (await request(metricsUrl)).body.text())?.[1])

/** Returns the most memory that the program had while `work` went on. */
async function peakOf(stage: Stage, work: Promise<unknown>): Promise<number> {
  const seen: number[] = []
  let ended = false
  void work.finally(() => {
    ended = true
  })
  while (!ended) {
    seen.push(await memory(stage))
    // Each look is a scrape, which counts rows: ten a second are enough.
    await Promise.race([work, delay(100)])
  }
  return Math.max(...seen)
}

test('whatever the upstream answers: no secret elsewhere, no wrong success, no crash, in time, in memory', {
  timeout: 120_000,
}, async () => {
  const stage = await startStage(() => ({}))
  const { foreign, program, revento } = stage
  const start = await memory(stage)
  const passed: Passed[] = []
  const go = (rows: Rows, expected: Expected) => unexpected(stage, rows, expected, passed)
  const waiting = go(same(endless), TIMES_OUT)
  // First, while the memory is that of a fresh start.
  const exploding = go(same(bombs()), CUT_OFF)
  const peak = await peakOf(stage, exploding)
  const wrong = [
    ...(await exploding),
    ...(await go(same(redirects(foreign.base)), MAY_PASS)),
    ...(await go(same(refusals(foreign.base)), MAY_PASS)),
    ...(await go(unusableTokens, TOKENS)),
    ...(await go(unusableAtFirst, { exchange: '502 upstream_error', refresh: RENEWED })),
    ...(await go(usableTokens, { exchange: '200', refresh: RENEWED })),
    ...(await go(unusablePages, { api: '502 upstream_error' })),
    ...(await go(usablePages, { api: '200' })),
    ...(await go(same(nonsense(foreign.base)), FAILS)),
  ]
  wrong.push(...(await waiting))
  expect(wrong).toEqual([])
  expect(peak - start).toBeLessThan(GROWTH)
  expect(Math.max(...passed.map(({ ms }) => ms))).toBeLessThan(ANSWERED_MS)

  expect(foreign.connections()).toBe(0)
  // It would have heard of anybody.
  expect([(await request(foreign.base)).statusCode, foreign.connections()]).toEqual([200, 1])
  for (const { raw, path, headers } of revento.heard) {
    expect(path).toMatch(PATHS)
    expect(headers.has('cookie')).toBe(false)
    expect(raw).not.toMatch(/X-Injected|foreign/)
  }
  for (const { event } of passed) expect(stored(stage, event)?.scope ?? '').toMatch(/^[!-~ ]{0,1024}$/)
  for (const { reply } of passed) expect(JSON.stringify([reply.headers, reply.text])).not.toMatch(PRIVATE)
  expect(program.output.out).not.toMatch(PRIVATE)
  expect(linesWithoutReason(stage)).toEqual([])
  expect((await request(`${program.url}/ready`)).statusCode).toBe(200)
})

/** Only these paths may be requested: the documented ones, and none that an answer chose. */
const PATHS = /^(\/oauth\/token|\/api\/v1\/events\/evt_\d+\/participants(\?limit=10)?)$/
const PRIVATE = new RegExp(`${UPSTREAM_TEXT}|${SECRET}|(access|refresh)-of|code-for-|upstream=`)
/** Two calls of at most 10 s each, and what a busy machine adds. */
const ANSWERED_MS = 25_000
/** Hundreds of megabytes are offered, and 1.6 GB in compressed form; what is kept of it goes with a collection. */
const GROWTH = 256 * 1024 * 1024

/** What went wrong is told to the operator: in a word of ours or of the network's. */
function linesWithoutReason(stage: Stage): unknown[] {
  const lines = logLines(stage)
  const failed = lines.filter(
    ({ msg, status, outcome, part }) =>
      (msg === 'request' && Number(status) >= 400) ||
      (part === 'api' && Number(status) !== 200) ||
      /^(transient|unknown)$/.test(String(outcome)),
  )
  expect(failed.length).toBeGreaterThan(100)
  return failed.filter(({ reason, error, code, detail }) => {
    const said = reason ?? detail ?? code ?? (error === 'reconsent_required' ? error : '')
    return !/^[A-Za-z_0-9]{3,50}$/.test(String(said))
  })
}
