import { type Html, html } from '../../http/html.ts'
import { AUTHORIZE_PATH } from '../../revento/platform.ts'
import { PROBLEMS, type ProblemCode } from '../api/problem.ts'
import type { AuthorizeRequest } from './authorize.request.ts'

const SCOPE_TEXT: Record<string, string> = {
  'event.read': 'Read the event: title, dates, description, status',
  'participants.read': 'Read its participants: profiles, form answers, roles, application status',
  'program.read': 'Read its program: activities, threads, locations, registration waves',
}

/** The question put to the organizer. The form carries the consent's id and the button pressed, nothing else. */
export function consentPage({ event, scope }: AuthorizeRequest, consentId: string): Html {
  const scopes = scope.split(' ').map(name => html`<li><code>${name}</code> ${SCOPE_TEXT[name]}</li>`)
  return html`<main class="narrow">
<h1>Connect your app to ${event.row.title}?</h1>
<dl class="facts">
<div><dt>Event</dt><dd>${event.row.title} <code>${event.row.id}</code></dd></div>
<div><dt>Organization</dt><dd>${event.organization} <code>${event.row.organization_id}</code></dd></div>
</dl>
<h2>It asks to</h2>
<ul>${scopes}</ul>
<form method="post" action="${AUTHORIZE_PATH}" class="decision">
<input type="hidden" name="consent" value="${consentId}">
<button name="decision" value="authorize" class="primary">Authorize</button>
<button name="decision" value="decline">Decline</button>
</form>
<p class="quiet">On the real platform an organizer sees Revento's own page here.</p>
</main>`
}

const REFUSALS = {
  client_id: [
    'Unknown client_id',
    'The client_id in this link is not the one this sandbox was started with.',
  ],
  redirect_uri: [
    'redirect_uri does not match',
    'It must equal the registered redirect URI byte for byte; a trailing slash makes it different.',
  ],
  consent: [
    'This page has been used',
    'The decision was already taken or waited too long. Start again from your app.',
  ],
} as const

/** Shown instead of a redirect: with a wrong client or redirect URI nobody can be trusted to be redirected to. */
export function refusalPage(reason: keyof typeof REFUSALS): Html {
  const [title, text] = REFUSALS[reason]
  return html`<main class="narrow"><h1>${title}</h1><p>${text}</p></main>`
}

/** A failure for people; `requestId` is what the sandbox's log has. */
export function problemPage(code: ProblemCode, requestId?: string): Html {
  const [, text] = PROBLEMS[code]
  return html`<h1>${text}</h1>
<p>Nothing was changed. <a href="/">Back to the connections</a></p>
<p class="quiet"><code>${code}</code>${requestId && html`, request <code>${requestId}</code>`}</p>`
}
