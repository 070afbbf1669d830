import { type Html, html } from '../http/html.ts'
import { formToken, layout } from '../pages/layout.ts'
import type { OperatorSession } from './sessions.ts'

const PAGES = {
  '/operator': 'Overview',
  '/operator/deliveries': 'Deliveries',
  '/operator/replays': 'Replays',
}

export interface OperatorLayout {
  readonly appName: string
  readonly title: string
  readonly body: Html
  /** The entry of the navigation for this page. */
  readonly page?: keyof typeof PAGES
  readonly session?: OperatorSession
  /** The URL from which the script gets the changing parts. */
  readonly stream?: string
}

export function operatorPage({ appName, title, body, page, session, stream }: OperatorLayout): string {
  const links = Object.entries(PAGES).map(
    ([path, name]) =>
      html`<li><a href="${path}"${path === page && html` aria-current="page"`}>${name}</a></li>`,
  )
  return layout({
    ...{ appName, title: `${title}, operator`, body, session, area: '/operator' },
    ...(session && {
      bar: html`<nav aria-label="Operator"><ul>${links}</ul></nav>
<div class="end top">${stream !== undefined && html`<span id="live" class="quiet"></span>`}<form method="post" action="/operator/sign-out">${formToken(session)}<button class="plain">Sign out</button></form></div>`,
    }),
    ...(stream !== undefined && { stream, asks: '/operator/deliveries?limit=1' }),
  }).text
}

/** A form of one button, with what it sends. */
export const pressForm = (
  session: OperatorSession,
  action: string,
  label: Html | string,
  o: { fields?: Record<string, string>; look?: string; more?: Html } = {},
): Html => html`
<form method="post" action="${action}">${formToken(session)}${Object.entries(o.fields ?? {}).map(
  ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`,
)}${o.more}<button class="button${o.look && ` ${o.look}`}">${label}</button></form>`

export function signInPage(appName: string, o: { next: string; wrong?: boolean }): string {
  return operatorPage({
    appName,
    title: 'Sign in',
    body: html`
<h1>Operator’s view</h1>
<p class="lead">All deliveries of all organizers and senders: for whoever runs this app.</p>
${o.wrong && html`<p class="error" role="alert">That is not the OPERATOR_TOKEN of this app.</p>`}
<form class="ask" method="post" action="/operator/sign-in"><input type="hidden" name="next" value="${o.next}">
<label for="token">Operator token</label>
<input class="text" type="password" id="token" name="token" required autocomplete="current-password">
<button class="button">Sign in</button></form>
<p class="quiet">It is the OPERATOR_TOKEN in the app’s environment; in development the log says it at the start.</p>`,
  })
}
