import { type Html, html } from '../../http/html.ts'
import { findEvent, testEvents } from '../api/events.ts'
import { participants } from '../api/participants.ts'
import type { Context } from '../context.ts'
import { one } from '../fields.ts'
import { MOST_PEOPLE, REVIEWS } from './people.ts'
import { many } from './views.parts.ts'

const SHOWN = 20

/** Who takes part in an event, and what may happen to them without a word to the app. */
export function peoplePage({ state }: Context, query: unknown): Html {
  const event = findEvent(one(query, 'event_id') ?? one(query, 'what') ?? '') ?? testEvents()[0]
  const list = event && participants(state, event)
  const options = testEvents().map(
    ({ row }) =>
      html`<option value="${row.id}"${row === event?.row && html` selected`}>${row.title}</option>`,
  )
  return html`
<h1>People</h1>
<p>What happens here changes what the API answers. Unless you tick the box no webhook tells it: your app finds out when
it compares its copy with the API.</p>
<form method="post" action="/console/people" >
<p class="ask"><label>Event <select name="event_id">${options}</select></label>
<button formmethod="get" formaction="/people">Show</button></p>
<p class="ask"><label>Participant id <input name="participant_id" placeholder="the first ones" pattern="[A-Za-z0-9_\\-]{1,64}"></label>
<label>How many <input type="number" name="count" value="1" min="1" max="${MOST_PEOPLE}"></label></p>
<p class="ask"><label>Name <input name="name" maxlength="200" placeholder="unchanged"></label>
<label>Review <select name="status"><option value="">unchanged</option>${REVIEWS.map(status => html`<option>${status}</option>`)}</select></label></p>
<p class="ask"><label class="tick"><input type="checkbox" name="tell"> and send the webhook, where there is one</label></p>
<p class="ask"><button class="primary">Add</button>
<button formaction="/console/people/edit">Change</button>
<button formaction="/console/people/cancel">They cancel</button>
<button formaction="/console/people/remove" class="danger">Remove</button></p>
</form>
<section><h2 id="${event?.row.id}">${event?.row.title}: ${many(list?.length ?? 0, 'person', 'people')}</h2>
<div class="scroll" tabindex="0" role="region" aria-label="People"><table class="stack">
<thead><tr><th scope="col">Id</th><th scope="col">Name</th><th scope="col">Application</th></tr></thead>
<tbody>${list
    ?.slice(0, SHOWN)
    .map(
      ({ id, name, application_status }) =>
        html`<tr><td><code>${id}</code></td><td><bdi>${name}</bdi></td><td>${application_status}</td></tr>`,
    )}</tbody>
</table></div>
${list && list.length > SHOWN && html`<p class="quiet">The first ${SHOWN} by id; GET <code>/console/api/people?event_id=…</code> has all of them.</p>`}
</section>`
}
