import { RATE } from '../../../src/revento/platform.ts'
import type { Sighting, TokenCall } from './record.ts'
import type { Rule } from './rule.ts'

/** The shortest wait after an answer that was lost. */
const CUT_OFF_MS = 5_000
/** From an answer to the line that tells of it, on a machine that is busy. */
const HEARD_WITHIN_MS = 60_000

/** A process was told to end, or ended, between the two moments. */
const interrupted = ({ spans }: Sighting, from: number, to: number) =>
  spans.some(span => span.to >= from && span.to <= to)

/** In the order they came. */
const byToken = ({ tokenCalls }: Sighting, grant: TokenCall['grant']): TokenCall[][] => {
  const of = tokenCalls.filter(call => call.grant === grant).toSorted((a, b) => a.from - b.from)
  return [...Map.groupBy(of, ({ fingerprint }) => fingerprint).values()]
}

/** What went to Revento. */
export const REVENTO_RULES = {
  'a refresh token is presented again only where nothing definite was said': seen =>
    byToken(seen, 'refresh_token').flatMap(calls =>
      calls.flatMap((call, n) => {
        const before = calls[n - 1]
        if (!before || before.answer === 'refused' || interrupted(seen, before.from, call.from)) return []
        const gap = call.from - before.from
        if (before.answer !== 'lost') return [`one was presented again after ${before.answer}`]
        return gap < CUT_OFF_MS ? [`one was presented again ${gap} ms after its answer was lost`] : []
      }),
    ),

  'a refresh token is presented at most ten times in five minutes': seen =>
    byToken(seen, 'refresh_token').flatMap(calls => {
      const most = Math.max(
        ...calls.map(({ from }) => calls.filter(c => c.from >= from && c.from < from + 300_000).length),
      )
      return most > 10 ? [`one was presented ${most} times`] : []
    }),

  'a connection ends only on invalid_grant': ({ endings, tokenCalls }) => {
    const rejected = tokenCalls.filter(
      ({ grant, answer }) => grant === 'refresh_token' && answer === 'rejected',
    )
    return endings
      .filter(({ at }) => !rejected.some(({ from, to }) => from <= at && at <= to + HEARD_WITHIN_MS))
      .map(({ at, reason }) => `one ended at ${at} (${reason}), and Revento had not said so`)
  },

  'a refresh token is never under way twice at once': seen =>
    byToken(seen, 'refresh_token').flatMap(calls =>
      calls.flatMap((call, n) => {
        const before = calls[n - 1]
        if (!before || call.from >= before.to || interrupted(seen, before.from, call.from)) return []
        return [`one was presented ${call.from - before.from} ms after it had been, with no answer yet`]
      }),
    ),

  'an authorization code is sent once': seen =>
    byToken(seen, 'authorization_code').flatMap(calls =>
      calls.length > 1 ? [`one was sent ${calls.length} times`] : [],
    ),

  'a flow ends once': ({ visits }) => {
    const well = visits.filter(({ what, status }) => what === 'callback' && status === 200)
    return [...Map.groupBy(well, ({ state }) => state).values()].flatMap(list =>
      list.length > 1 ? [`${list.length} callbacks of one flow were answered 200`] : [],
    )
  },

  'no more than 5 API calls of a token are in flight': ({ inFlight }) =>
    inFlight
      .filter(({ most }) => most > RATE.inFlight)
      .map(({ slot, most }) => `process ${slot} had ${most}`),

  // By a clock that jumped the app's minute may be over before Revento's is.
  'no more calls are sent than Revento allows': ({ overLimit, clock }) =>
    overLimit > 0 && clock.every(({ aheadMs }) => aheadMs === 0)
      ? [`Revento refused ${overLimit} calls over its limit`]
      : [],

  'nobody is told to have gone who is there': ({ toldGone }) => [...toldGone],

  'nothing is sent to a foreign host': ({ foreign }) => [...foreign],
} satisfies Record<string, Rule>
