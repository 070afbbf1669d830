import { ERRORS } from '../../src/errors.ts'
import { RATE } from '../../src/revento/platform.ts'
import type { Answered, Hook, Sighting, TokenCall } from './record.ts'

export interface Violation {
  readonly rule: string
  readonly what: string
}

/** One rule of the threat model: what breaks it, each in words. */
type Rule = (seen: Sighting) => string[]

/** A sender hangs up after ten seconds. Who asks for a page may wait for Revento's answer, and for a refresh before. */
const WEBHOOK_MS = 10_000
const PAGE_MS = 30_000
const STOP_MS = 10_000
const HONEST = new Set<Hook['kind']>(['new', 'duplicate', 'replay'])
const DOCUMENTED = new Set([502, 503, 504])
const NO_HANDLER = new Set(['chaos.unknown'])

const honest = ({ hooks }: Sighting) => hooks.filter(({ kind }) => HONEST.has(kind))
const acknowledged = (seen: Sighting) =>
  new Map(honest(seen).flatMap(hook => (hook.status === 200 ? [[hook.envelope, hook] as const] : [])))
const all = ({ hooks, visits }: Sighting): (Answered & { what?: string; kind?: string })[] => [
  ...hooks,
  ...visits,
]
const named = ({ what, kind, status, ms }: ReturnType<typeof all>[number]) =>
  `${what ?? `${kind} webhook`} was answered ${status ?? 'nothing'} after ${ms} ms`

/** The row that stands for an envelope; its repeats point to it. */
const rowOf = ({ rows }: Sighting, envelope: string) =>
  rows.find(row => row.envelope === envelope && row.state !== 'duplicate')

/** A process was told to end, or ended, between the two moments. */
const interrupted = ({ spans }: Sighting, from: number, to: number) =>
  spans.some(span => span.to >= from && span.to <= to)

export const RULES = {
  'every acknowledged delivery is stored': seen =>
    [...acknowledged(seen).values()]
      .filter(({ envelope }) => !rowOf(seen, envelope))
      .map(({ envelope, kind }) => `${kind} ${envelope} was answered 200 and is not in the inbox`),

  'every acknowledged delivery reaches its end': seen =>
    [...acknowledged(seen).keys()].flatMap(envelope => {
      const row = rowOf(seen, envelope)
      const wanted = row && NO_HANDLER.has(row.type) ? 'ignored' : 'done'
      return row && row.state !== wanted
        ? [`delivery ${row.id} (${row.type}) is ${row.state}: ${row.error}`]
        : []
    }),

  'the handler of every acknowledged delivery ran': seen => {
    const ran = new Set(seen.runs.filter(({ ok }) => ok).map(({ inbox }) => inbox))
    const people = new Set(seen.people)
    return [...acknowledged(seen).values()].flatMap(({ envelope, type, person }) => {
      const row = rowOf(seen, envelope)
      if (!row || NO_HANDLER.has(type)) return []
      if (!ran.has(row.id)) return [`no run of delivery ${row.id} (${type}) ended well`]
      return person && !people.has(person) ? [`delivery ${row.id} left no ${person}`] : []
    })
  },

  'an envelope is handled once, unless a crash interrupts it': seen => {
    const rows = Map.groupBy(seen.rows, ({ envelope }) => envelope)
    const twiceStored = [...rows].flatMap(([envelope, list]) => {
      const firsts = list.filter(({ state }) => state !== 'duplicate')
      return firsts.length > 1 ? [`${envelope} has deliveries ${firsts.map(({ id }) => id)} of its own`] : []
    })
    const twiceRun = seen.rows.flatMap(({ id }) => {
      const ran = seen.runs.filter(run => run.inbox === id && run.ok).length
      const ends = seen.tries.filter(({ inbox }) => inbox === id)
      const crashes = ends.filter(({ outcome }) => outcome === 'interrupted').length
      const done = ends.filter(({ outcome }) => outcome === 'done').length
      if (done > 1) return [`delivery ${id} has ${done} recorded ends`]
      return ran > 1 + crashes ? [`delivery ${id} was handled ${ran} times with ${crashes} crashes`] : []
    })
    return [...twiceStored, ...twiceRun]
  },

  'no handler runs twice at the same time for one delivery': ({ runs }) =>
    [...Map.groupBy(runs, ({ inbox }) => inbox)].flatMap(([inbox, list]) => {
      const ended = list.filter(({ to }) => to !== null).toSorted((a, b) => a.from - b.from)
      const meets = ended.some((run, n) => run.from < (ended[n - 1]?.to ?? 0))
      return meets ? [`runs of delivery ${inbox} met each other`] : []
    }),

  'nothing forged, altered, stale or unsigned is taken': seen => {
    const stored = new Set(seen.rows.map(({ envelope }) => envelope))
    const taken = new Set(acknowledged(seen).keys())
    return seen.hooks
      .filter(({ kind }) => !HONEST.has(kind))
      .flatMap(hook => {
        if (hook.status !== null && hook.status !== 401 && hook.status !== 503) return [named(hook)]
        // The sandbox sends the same one honestly afterwards.
        const isStored = hook.slot >= 0 && stored.has(hook.envelope) && !taken.has(hook.envelope)
        return isStored ? [`${hook.kind} ${hook.envelope} is in the inbox`] : []
      })
  },

  'what is honest is taken, or told to come again': seen =>
    honest(seen)
      .filter(({ status }) => status !== null && status !== 200 && status !== 503)
      .map(hook => `${named(hook)} (${hook.error})`),

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

  'a webhook is answered within 10 s, a page within 30 s': ({ hooks, visits }) => [
    ...hooks.filter(({ ms, status }) => status !== null && ms > WEBHOOK_MS).map(named),
    ...visits.filter(({ ms, status }) => status !== null && ms > PAGE_MS).map(named),
  ],

  'whoever asks a process that is up gets an answer': seen =>
    all(seen)
      .filter(({ status, slot, at, ms }) => {
        const within = seen.spans.some(span => span.slot === slot && at >= span.from && at + ms < span.to)
        return status === null && within
      })
      .map(named),

  'an error is one of the documented ones': seen =>
    all(seen)
      .filter(({ status, error }) => {
        if (status === null || status < 400) return false
        // The sandbox does not keep the code.
        return (status >= 500 && !DOCUMENTED.has(status)) || (error !== null && !Object.hasOwn(ERRORS, error))
      })
      .map(answer => `${named(answer)} (${answer.error})`),

  'nothing is sent to a foreign host': ({ foreign }) => [...foreign],

  'no secret, code, signature or payload is in a log, and no secret in an answer': ({ leaks }) =>
    leaks.map(({ name, encoding, place }) => `${name}, as ${encoding}, in ${place}`),

  'a process ends only when it is told to, in time and with 0': ({ ends }) =>
    ends.flatMap(({ slot, told, code, signal, ms }) => {
      if (told === 'SIGKILL') return []
      if (told === null) return [`process ${slot} ended by itself with ${signal ?? code}`]
      if (code !== 0) return [`process ${slot} ended with ${signal ?? code} after SIGTERM`]
      return ms > STOP_MS ? [`process ${slot} took ${ms} ms to end`] : []
    }),

  'once every fault is over everything works again': ({ unrecovered }) => [...unrecovered],

  "the operator's command says what is the matter": ({ commands }) =>
    commands.flatMap(({ args, code, printed }) =>
      (code !== 0 && code !== 1) || /\n\s+at /.test(printed)
        ? [`${args} ended with ${code}: ${printed}`]
        : [],
    ),
} satisfies Record<string, Rule>

export type RuleName = keyof typeof RULES

export const judge = (seen: Sighting): Violation[] =>
  Object.entries<Rule>(RULES).flatMap(([rule, find]) => find(seen).map(what => ({ rule, what })))

/** In the order they came. */
const byToken = ({ tokenCalls }: Sighting, grant: TokenCall['grant']): TokenCall[][] => {
  const of = tokenCalls.filter(call => call.grant === grant).toSorted((a, b) => a.from - b.from)
  return [...Map.groupBy(of, ({ fingerprint }) => fingerprint).values()]
}
