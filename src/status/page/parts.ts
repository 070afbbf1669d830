import { type Html, html } from '../../http/html.ts'
import { day } from '../../pages/layout.ts'
import type { Parts } from './overview.ts'
import { connections, reconnectLink, statePill, titleOf } from './views.connections.ts'
import { deliveriesTable, stuck } from './views.deliveries.ts'
import { participants } from './views.participants.ts'

/** The changing parts in the order of the page; each stands in an element of its own, `part-NAME`. */
const PARTS = {
  heading,
  health,
  stuck: (v: Parts) => stuck(v) || html``,
  participants,
  deliveries: deliveriesTable,
  connections,
} as const

export type PartName = keyof typeof PARTS
const PART_NAMES = Object.keys(PARTS) as PartName[]
export type Rendered = Record<PartName, string>

export const renderParts = (v: Parts): Rendered =>
  Object.fromEntries(PART_NAMES.map(name => [name, PARTS[name](v).text])) as Rendered

/** The title of the selected event, and the state of its connection. */
function heading(v: Parts): Html {
  const { selected } = v
  if (!selected) return html``
  return html`<h1>${titleOf(selected, v)} ${statePill(selected)}</h1>`
}

/** The sentence that says whether the reader has to do something, with the button for it. */
function health(v: Parts): Html {
  const { trouble, connections, dead, parked, selected } = v
  if (trouble !== undefined)
    return note(
      'bad',
      html`This app cannot store anything right now (${trouble}). Nothing is lost: Revento is told to
send its webhooks again. Whoever runs this app has to mend it.`,
    )
  const again = connections.filter(c => c.state === 'reconsent')
  const needs = [
    again.length > 0 &&
      (again.length === 1
        ? 'an event has to be connected again'
        : `${again.length} events have to be connected again`),
    parked.length > 0 && 'webhooks wait for a reconnect',
    dead.length > 0 && 'webhooks were given up',
  ].filter(need => need !== false)
  if (needs.length > 0)
    return note(
      'bad',
      html`Something needs you: ${needs.join('; ')}.`,
      again[0] && reconnectLink(again[0], v),
    )
  if (selected?.state !== 'connected') return html``
  return html`<p class="lead">All good. The connection is renewed by itself until ${day(selected.consentExpiresAt)}.</p>`
}

const note = (tone: string, text: Html, button?: Html) =>
  html`<div class="note" data-tone="${tone}"><p>${text}</p>${button}</div>`
