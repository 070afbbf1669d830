import { type Html, html } from '../http/html.ts'
import type { Slot } from './rollups.ts'

export interface Series {
  readonly label: string
  /** A class of style.css: good, wait, bad or idle. */
  readonly tone: string
  readonly names: readonly string[]
}

const [WIDTH, HEIGHT] = [720, 104]

const amount = ({ counts }: Slot, { names }: Series) =>
  names.reduce((sum, name) => sum + (counts[name] ?? 0), 0)

/** Bars by time, one part on the other, with a table of the same figures behind them. */
export function barChart(slots: readonly Slot[], series: readonly Series[], about: string): Html {
  const totals = slots.map(slot => series.reduce((sum, one) => sum + amount(slot, one), 0))
  const most = Math.max(1, ...totals)
  const step = WIDTH / slots.length
  const bars = slots.flatMap((slot, n) => {
    let y = HEIGHT - 4
    return series.flatMap(one => {
      const height = (amount(slot, one) / most) * (HEIGHT - 8)
      if (height === 0) return []
      y -= height
      const x = (n * step + step * 0.1).toFixed(1)
      return html`<rect class="${one.tone}" x="${x}" y="${y.toFixed(1)}" width="${(step * 0.8).toFixed(1)}" height="${height.toFixed(1)}"/>`
    })
  })
  const all = totals.reduce((sum, n) => sum + n, 0)
  return html`<svg role="img" aria-label="${about}: ${all} in all, at most ${most === 1 && all === 0 ? 0 : most} at once" viewBox="0 0 ${WIDTH} ${HEIGHT}" height="128" preserveAspectRatio="none">
<line x1="0" x2="${WIDTH}" y1="${HEIGHT - 3}" y2="${HEIGHT - 3}"/>${bars}</svg>
<p class="quiet top"><span>${clock(slots[0]?.at)}</span><span>most: ${most === 1 && all === 0 ? 0 : most}</span><span>${clock(slots.at(-1)?.at)} UTC</span></p>
<details><summary>The same as a table</summary><div class="scroll" tabindex="0" role="region" aria-label="${about}"><table>
<thead><tr><th scope="col">From, UTC</th>${series.map(({ label }) => html`<th scope="col" class="number">${label}</th>`)}</tr></thead>
<tbody>${slots
    .filter((_, n) => (totals[n] ?? 0) > 0)
    .map(
      slot =>
        html`<tr><td>${clock(slot.at)}</td>${series.map(one => html`<td class="number">${amount(slot, one)}</td>`)}</tr>`,
    )}</tbody></table></div></details>`
}

const clock = (ms = 0) => new Date(ms).toISOString().slice(11, 16)
