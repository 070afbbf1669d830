import { type Html, html } from '../http/html.ts'
import type { Parts } from './overview.ts'
import { connections } from './views.connections.ts'
import { deliveriesTable, stuck } from './views.deliveries.ts'

/** The changing parts in the order of the page; each stands in an element of its own, `part-NAME`. */
export const PARTS = {
  health,
  connections,
  stuck: (v: Parts) => stuck(v) || html``,
  deliveries: deliveriesTable,
} as const

export type PartName = keyof typeof PARTS
const PART_NAMES = Object.keys(PARTS) as PartName[]
export type Rendered = Record<PartName, string>

export const renderParts = (v: Parts): Rendered =>
  Object.fromEntries(PART_NAMES.map(name => [name, PARTS[name](v).text])) as Rendered

/** The sentence that says whether the reader has to do something. A failed call of the API is shown beside its list. */
function health({ trouble, connections, dead, parked }: Parts): Html {
  if (trouble !== undefined)
    return html`<p class="problem">This app cannot store anything right now (${trouble}). Nothing is lost: Revento is told to
send its webhooks again. Whoever runs this app has to mend it.</p>`
  const again = connections.filter(c => c.state === 'reconsent').length
  const needs = [
    again > 0 &&
      (again === 1 ? 'an event has to be connected again' : `${again} events have to be connected again`),
    parked.length > 0 && 'webhooks wait for a reconnect',
    dead.length > 0 && 'webhooks were given up',
  ].filter(need => need !== false)
  if (needs.length > 0) return html`<p class="problem">Something needs you: ${needs.join('; ')}.</p>`
  const live = connections.filter(c => c.state === 'connected').length
  return live === 0 ? html`<p>No event is connected.</p>` : html`<p class="good">Connected. All good.</p>`
}
