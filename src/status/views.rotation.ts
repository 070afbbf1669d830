import { type Html, html } from '../http/html.ts'
import { type KeyState, tell } from '../keys/verdict.ts'
import { time } from './layout.ts'
import { breakable } from './views.deliveries.ts'

/** For the operator, while a secret or key is being changed: whether the old one can go. No secret is in it. */
export function rotationSection(changes: readonly KeyState[]): Html | false {
  return (
    changes.length > 0 &&
    html`
<section aria-labelledby="keys-title">
<h2 id="keys-title">Keys being changed</h2>
<p class="quiet">For whoever runs this app; an organizer need not do anything.</p>
<ul class="rows">${changes.map(line)}</ul>
</section>`
  )
}

function line(state: KeyState): Html {
  const { before, at, after } = tell(state)
  return html`
<li class="row"><div><code>${breakable(state.variable)}</code>: ${before}${at !== undefined && time(at)}${after}</div></li>`
}
