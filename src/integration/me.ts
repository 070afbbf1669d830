import type { Me } from '../builder/me.ts'
import { html } from '../http/html.ts'

/**
 * What a participant sees who signed in with Revento, where REVENTO_USER_SCOPES is set. Yours to replace; the buttons to
 * sign out and to be forgotten are added. `html` escapes every value.
 */
export const mePage = ({ eventId, profile, application, problems }: Me) => html`
<h1>Hello${profile?.name !== undefined && html`, <bdi>${profile.name}</bdi>`}</h1>
${profile?.email !== undefined && html`<p><bdi>${profile.email}</bdi></p>`}
${application && html`<p>Your application to <code>${eventId}</code>: <strong>${application.application_status?.replaceAll('_', ' ')}</strong></p>`}
${problems.map(problem => html`<p class="problem">${problem}</p>`)}`
