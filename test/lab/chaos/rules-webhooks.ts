import { shownBetween } from './clock.ts'
import type { Hook, Sighting } from './record.ts'
import { named, type Rule } from './rule.ts'

const HONEST = new Set<Hook['kind']>(['new', 'duplicate', 'replay'])
const NO_HANDLER = new Set(['chaos.unknown'])

const honest = ({ hooks }: Sighting) => hooks.filter(({ kind }) => HONEST.has(kind))
const acknowledged = (seen: Sighting) =>
  new Map(honest(seen).flatMap(hook => (hook.status === 200 ? [[hook.envelope, hook] as const] : [])))

/** The row that stands for an envelope; its repeats point to it. */
const rowOf = ({ rows }: Sighting, envelope: string) =>
  rows.find(row => row.envelope === envelope && row.state !== 'duplicate')

/** What was acknowledged is ours to finish; what was not signed as it stands is nobody's. */
export const WEBHOOK_RULES = {
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

  'no clock, however wrong, removes what was taken within the run': ({ rows }) =>
    rows
      .filter(({ state, hasBody }) => state !== 'duplicate' && !hasBody)
      .map(({ id, type }) => `delivery ${id} (${type}) has lost its body`),

  'what is honest is taken, or told to come again': seen =>
    honest(seen)
      // Signed by another time than the app's, it is stale, or from the future.
      .filter(({ at, ms, aheadMs }) =>
        shownBetween(seen.clock, at, at + ms).every(shown => shown === aheadMs),
      )
      .filter(({ status }) => status !== null && status !== 200 && status !== 503)
      .map(hook => `${named(hook)} (${hook.error})`),
} satisfies Record<string, Rule>
