import { type Html, html } from '../../http/html.ts'
import type { Context } from '../context.ts'
import type { Term } from '../faults/faults.ts'

const UNITS = [
  [365 * 86_400_000, 'year'],
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
  [1000, 'second'],
] as const

/** A time span in its two largest units. */
export function span(ms: number): string {
  const parts: string[] = []
  let rest = ms
  for (const [size, name] of UNITS) {
    const n = Math.floor(rest / size)
    rest -= n * size
    if (n > 0) parts.push(many(n, name))
  }
  return parts.slice(0, 2).join(' ') || 'less than a second'
}

export const many = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`

const stamp = (ms: number) => new Date(ms).toISOString()

/** A dotted or underscored name that may break after each part. */
export const breakable = (name: string): Html[] =>
  name.split(/(?<=[._])/).map((part, index) => (index ? html`<wbr>${part}` : html`${part}`))

/** The time of day where the day is clear. */
export function clockTime(iso: string): Html {
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(11, 19)} <span class="quiet">UTC</span></time>`
}

export function moment(ms: number): Html {
  const iso = stamp(ms)
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)} <span class="quiet">UTC</span></time>`
}

/** A form of one button. `about` is added to the label for those who hear it out of its place. */
export function button(o: {
  action: string
  label: string
  about: string
  fields?: Record<string, string>
}): Html {
  const hidden = Object.entries(o.fields ?? {}).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`,
  )
  return html`<form method="post" action="/console${o.action}">${hidden}<button aria-label="${o.label}: ${o.about}">${o.label}</button></form>`
}

export function termText({ left, until }: Term, now: number): string {
  if (left !== null) return `for ${many(left, 'more request')}`
  return `for ${span(Math.max(1000, (until ?? now) - now))}`
}

/** What is out of the ordinary, on every page, with the way back. Nothing on an ordinary day. */
export function rightNow({ clock, faults, options }: Context): Html | undefined {
  const active = faults.list().flatMap(({ fault, term }) => (term ? [{ fault, term }] : []))
  if (!active.length && clock.offset() === 0) return undefined
  const now = options.runtime.now()
  const lines = active.map(
    ({ fault, term }) =>
      html`<li><a href="/faults#${fault.name}">${fault.title}</a>: ${termText(term, now)}</li>`,
  )
  const ahead = clock.offset() > 0 && html`<li>The clock is ${span(clock.offset())} ahead</li>`
  return html`<section class="now" aria-label="Right now">
<ul>${lines}${ahead}</ul>
<div class="row">
${active.length > 0 && button({ action: '/faults/clear', label: 'Clear all', about: 'end every bad day' })}
${ahead && button({ action: '/clock/reset', label: 'Set clock back', about: 'to the machine’s time' })}
</div></section>`
}
