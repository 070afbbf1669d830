import { ERRORS } from '../../../src/http/errors.ts'
import { all, named, type Rule } from './rule.ts'

/** A sender hangs up after ten seconds. Who asks for a page may wait for Revento's answer, and for a refresh before. */
const WEBHOOK_MS = 10_000
const PAGE_MS = 30_000
const STOP_MS = 10_000
const DOCUMENTED = new Set([502, 503, 504])

/** How the app behaves to whoever asks it, and to whoever runs it. */
export const APP_RULES = {
  'a webhook is answered within 10 s, a page within 30 s': ({ hooks, visits }) => [
    ...hooks.filter(({ ms, stalledMs, status }) => status !== null && ms - stalledMs > WEBHOOK_MS).map(named),
    ...visits.filter(({ ms, stalledMs, status }) => status !== null && ms - stalledMs > PAGE_MS).map(named),
  ],

  'whoever asks a process that is up gets an answer': seen =>
    all(seen)
      .filter(({ status, slot, at, ms, stalledMs }) => {
        const within = seen.spans.some(span => span.slot === slot && at >= span.from && at + ms < span.to)
        // Whoever asks gives up after 30 s, too.
        const gaveUp = ms >= PAGE_MS && ms - stalledMs < WEBHOOK_MS
        return status === null && within && !gaveUp
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

  'no secret, code, signature or payload is in a log, and no secret in an answer': ({ leaks }) => [
    ...new Set(leaks.map(({ name, encoding, place }) => `${name}, as ${encoding}, in ${place}`)),
  ],

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
