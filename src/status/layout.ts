import { ERRORS, type ErrorBody } from '../errors.ts'
import { type Html, html } from '../html.ts'

export function welcomePage(o: { sandbox: { url: string } | undefined; defaultEventId: string }): Html {
  return layout(
    'Connect an event',
    html`
<h1>Connect a Revento event</h1>
<p>This app keeps a connection to one event of yours: it lists the participants and takes in what happens there,
as it happens. You decide on Revento's own page what it may see, and you can end it there at any time.</p>
<p><a class="button" href="/connect">Connect ${o.defaultEventId}</a></p>
${sandboxNote(o.sandbox)}`,
  )
}

export function errorPage({ error, message, request_id }: ErrorBody, status: number): string {
  const again = error !== 'not_found' && error !== 'method_not_allowed'
  return layout(
    ERRORS[error][1],
    html`
<h1>${message}</h1>
${again && html`<p><a class="button" href="/connect">Connect an event</a></p>`}
<p><a href="/">Back to the start page</a></p>
<p class="quiet">${status} ${error} · request ${request_id}</p>`,
  ).text
}

export function layout(title: string, body: Html, reload = false): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} · Revento starter</title>
<link rel="stylesheet" href="/style.css">
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
${reload && html`<meta http-equiv="refresh" content="2">`}
</head>
<body>
<header><a href="/">Revento starter</a></header>
<main>${body}</main>
</body>
</html>
`
}

export function sandboxNote(sandbox: { url: string } | undefined): Html | false {
  return (
    sandbox !== undefined &&
    html`
<aside><p><strong>Sandbox.</strong> This runs against a pretend Revento on this machine, at
<a href="${sandbox.url}">${sandbox.url}</a>. No account is needed and nobody real is listed.</p></aside>`
  )
}

/** Short to read; the exact moment in UTC on hover and for machines. */
export function time(ms: number): Html {
  const iso = new Date(ms).toISOString()
  return html`<time datetime="${iso}" title="${iso}">${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC</time>`
}
