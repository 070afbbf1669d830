import { type Html, html } from '../../http/html.ts'
import type { Term } from '../faults/faults.ts'

const UNITS = [
  [365 * 86_400_000, 'year'],
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
  [1000, 'second'],
] as const

export const many = (n: number, noun: string, several = `${noun}s`): string =>
  `${n} ${n === 1 ? noun : several}`

/** A time span in its two largest units. */
export function span(ms: number): string {
  let rest = ms
  const parts = UNITS.flatMap(([size, name]) => {
    const n = Math.floor(rest / size)
    rest -= n * size
    return n > 0 ? [many(n, name)] : []
  })
  return parts.slice(0, 2).join(' ') || 'less than a second'
}

export const termText = ({ left, until }: Term, now: number): string =>
  `for ${left === null ? span(Math.max(1000, (until ?? now) - now)) : many(left, 'more request')}`

/** A dotted or underscored name that may break after each part. */
export const breakable = (name: string): Html[] =>
  name.split(/(?<=[._])/).map((part, index) => (index ? html`<wbr>${part}` : html`${part}`))

const time = (iso: string, shown: string) =>
  html`<time datetime="${iso}" title="${iso}" data-utc>${shown} <span class="quiet">UTC</span></time>`

/** The time of day, where the day is clear. */
export const clockTime = (iso: string): Html => time(iso, iso.slice(11, 19))

export function moment(ms: number): Html {
  const iso = new Date(ms).toISOString()
  return time(iso, `${iso.slice(0, 10)} ${iso.slice(11, 16)}`)
}

/** A form of one button. `about` completes the label for people who hear it out of its place. */
export function button(
  action: string,
  label: string,
  about: string,
  fields: Record<string, string> = {},
  look?: 'danger',
): Html {
  const hidden = Object.entries(fields).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`,
  )
  return html`<form method="post" action="/console${action}">${hidden}<button${look && html` class="${look}"`} aria-label="${label}: ${about}">${label}</button></form>`
}
