import { type Html, html } from '../http/html.ts'
import type { Slot } from './rollups.ts'

export interface Series {
  readonly label: string
  /** A class of style.css: good, wait, bad or idle. */
  readonly tone: string
  readonly names: readonly string[]
}

const [WIDTH, HEIGHT] = [720, 104]
const FLOOR = HEIGHT - 3
/** The height of the tallest bar. Above it there is room for parts that are drawn taller than they are. */
const TALLEST = HEIGHT - 16
/** The least height of a part, so that even one of a thousand can be seen. */
const LEAST = 3

const amount = ({ counts }: Slot, { names }: Series) =>
  names.reduce((sum, name) => sum + (counts[name] ?? 0), 0)

/**
 * Bars by time, one part on the other, with a table of the same figures behind them. A bar is as tall as the square root
 * of its figure: beside a minute with thousands an ordinary one is still seen.
 */
export function barChart(slots: readonly Slot[], series: readonly Series[], about: string): Html {
  const totals = slots.map(slot => series.reduce((sum, one) => sum + amount(slot, one), 0))
  const most = Math.max(0, ...totals)
  const step = WIDTH / slots.length
  const bars = slots.flatMap((slot, n) => {
    const total = totals[n] ?? 0
    const tall = Math.sqrt(total / most) * TALLEST
    let y = FLOOR
    return series.flatMap(one => {
      const part = amount(slot, one)
      if (part === 0) return []
      const height = Math.max(LEAST, (part / total) * tall)
      y -= height
      const x = (n * step + step * 0.1).toFixed(1)
      return html`<rect class="${one.tone}" x="${x}" y="${y.toFixed(1)}" width="${(step * 0.8).toFixed(1)}" height="${height.toFixed(1)}"/>`
    })
  })
  const all = totals.reduce((sum, n) => sum + n, 0)
  const lines = [FLOOR, FLOOR - TALLEST / 2, FLOOR - TALLEST]
  return html`<svg role="img" aria-label="${about}: ${all} in all, at most ${most} at once" viewBox="0 0 ${WIDTH} ${HEIGHT}" height="128" preserveAspectRatio="none">
${lines.map(y => html`<line x1="0" x2="${WIDTH}" y1="${y}" y2="${y}"/>`)}${bars}</svg>
<p class="quiet top"><span>${clock(slots[0]?.at)}</span><span>${clock(slots.at(-1)?.at)} UTC</span></p>
<p class="quiet">${most === 0 ? 'Nothing yet.' : `The top line is ${figure(most)}, the middle one ${figure(most / 4)}: heights grow with the square root.`}</p>
<details><summary>The same as a table</summary><div class="scroll" tabindex="0" role="region" aria-label="${about}"><table>
<thead><tr><th scope="col">From, UTC</th>${series.map(({ label }) => html`<th scope="col" class="number">${label}</th>`)}</tr></thead>
<tbody>${slots
    .filter((_, n) => (totals[n] ?? 0) > 0)
    .map(
      slot =>
        html`<tr><td>${clock(slot.at)}</td>${series.map(one => html`<td class="number">${amount(slot, one)}</td>`)}</tr>`,
    )}</tbody></table></div></details>`
}

const figure = (n: number) => n.toLocaleString('en', { maximumFractionDigits: 1 })
const clock = (ms = 0) => new Date(ms).toISOString().slice(11, 16)
