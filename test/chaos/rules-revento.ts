import { RATE } from '../../src/revento/platform.ts'
import type { Sighting, TokenCall } from './record.ts'
import type { Rule } from './rule.ts'

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
  'a refresh token is presented once, and once more to recover': seen =>
    byToken(seen, 'refresh_token').flatMap(calls => {
      // What was refused with a 5xx or a 429 may be sent again, and what never got there too.
      const spent = calls.filter(({ answer }) => answer !== 'refused')
      if (spent.length > 2) return [`one was presented ${spent.length} times`]
      const [first, second] = spent
      if (!first || !second) return []
      const mayRecover = first.answer === 'lost' || interrupted(seen, first.from, second.from)
      return mayRecover ? [] : [`one was presented again after it was answered with ${first.answer}`]
    }),

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

  'nothing is sent to a foreign host': ({ foreign }) => [...foreign],
} satisfies Record<string, Rule>
