import { type Html, html } from '../http/html.ts'
import type { Session } from '../oauth/sessions.ts'

/** The field of every form that holds the session's token. */
export const FORM_TOKEN = 'form_token'

export interface Layout {
  readonly appName: string
  readonly title: string
  readonly body: Html
  /** The session of the reader, if there is one, and the beginning of the paths that it is for. */
  readonly session?: Pick<Session, 'formToken'> | undefined
  readonly area?: '' | '/me' | '/operator'
  /** What the bar shows a reader who is signed in; left out, it is a button to log out. */
  readonly bar?: Html
  /** The URL from which the script gets the changing parts; without it they do not change. */
  readonly stream?: string
  /** The URL that says whether the session still lives, where it is not the organizer's. */
  readonly asks?: string
}

export function layout(o: Layout): Html {
  const { appName, title, body, session, area = '', stream, asks } = o
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · ${appName}</title>
<link rel="stylesheet" href="/style.css">
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
${session && html`<script src="/page.js" type="module"></script>`}
</head>
<body>
<header><div class="bar"><a class="home" href="${area || '/'}">${appName}</a>
${session && (o.bar ?? html`<form method="post" action="${area}/logout">${formToken(session)}<button class="plain">Log out</button></form>`)}</div></header>
<main${stream !== undefined && html` data-stream="${stream}"`}${asks !== undefined && html` data-asks="${asks}"`}>${body}</main>
</body>
</html>
`
}

export const formToken = (session: Pick<Session, 'formToken'>) =>
  html`<input type="hidden" name="${FORM_TOKEN}" value="${session.formToken}">`

/** A form for the id of any event, with `value` in its field. */
export const eventForm = (label: string, value?: string) => html`
<form class="ask" action="/connect"><input type="hidden" name="from" value="form">
<label for="event_id">${label}</label>
<input class="text" id="event_id" name="event_id" value="${value}" placeholder="evt_…" required autocomplete="off" autocapitalize="none" spellcheck="false">
<button class="button">Connect</button></form>`

export function sandboxNote(sandbox: { url: string } | undefined): Html | false {
  return (
    sandbox !== undefined &&
    html`
<aside aria-label="Sandbox"><p><strong>Sandbox.</strong> This runs against a pretend Revento on this machine, at
<a href="${sandbox.url}">${sandbox.url}</a>. No account is needed and nobody real is listed.</p></aside>`
  )
}

/** A time in UTC to the minute, exact on hover and for machines; the script shows it in the reader's own way. */
export function time(ms: number): Html {
  const iso = new Date(ms).toISOString()
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`
}

/** The day of a time, in UTC. */
export function day(ms: number): Html {
  const iso = new Date(ms).toISOString()
  return html`<time datetime="${iso}" title="${iso}" data-day>${iso.slice(0, 10)}</time>`
}

/** A time that has passed: the script says how long ago, as long as that is a matter of days. */
export function ago(ms: number): Html {
  const iso = new Date(ms).toISOString()
  return html`<time datetime="${iso}" title="${iso}" data-ago>${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`
}

/** A time to the second, for things that follow each other closely. */
export function exactTime(ms: number): Html {
  const iso = new Date(ms).toISOString()
  return html`<time datetime="${iso}" title="${iso}" data-seconds>${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC</time>`
}

export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`
  return `${(ms / 3_600_000).toFixed(1)} h`
}
