import { readFileSync } from 'node:fs'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { type Html, html } from '../../http/html.ts'
import type { Context } from '../context.ts'
import { rightNow } from './views.parts.ts'

const STYLE_PATH = '/sandbox.css'

const PAGES = {
  home: { path: '/', title: 'Connections' },
  faults: { path: '/faults', title: 'Bad days' },
  webhooks: { path: '/webhooks', title: 'Webhooks' },
} as const

export type ConsolePage = keyof typeof PAGES

interface Content {
  /** Undefined on a page that is none of the console's own. */
  page: ConsolePage | undefined
  notice: string | undefined
  body: Html
}

/** A page of the console: its navigation, what is out of the ordinary right now, and what the last button did. */
export function sendConsole(reply: FastifyReply, context: Context, { page, notice, body }: Content) {
  const appUrl = new URL(context.options.redirectUri).origin
  const links = Object.entries(PAGES).map(([name, { path, title }]) =>
    name === page
      ? html`<li><a href="${path}" aria-current="page">${title}</a></li>`
      : html`<li><a href="${path}">${title}</a></li>`,
  )
  return sendPage(
    reply,
    html`<nav aria-label="Sandbox console"><ul>${links}<li><a href="${appUrl}">Your app</a></li></ul></nav>
<main>
<div role="status" class="status">${notice && html`<p>${notice}</p>`}</div>
${rightNow(context)}
${body}</main>`,
    { title: page && PAGES[page].title, status: reply.statusCode },
  )
}

/** Sends a page that may load this sandbox's stylesheet and nothing else. */
export function sendPage(
  reply: FastifyReply,
  content: Html,
  o: { status?: number; formAction?: string; title?: string | undefined } = {},
): FastifyReply {
  const { status = 200, formAction = '', title } = o
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    'img-src data:',
    `form-action 'self' ${formAction}`.trim(),
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ]
  return reply
    .code(status)
    .headers({
      'content-security-policy': policy.join('; '),
      'permissions-policy': 'camera=(), geolocation=()',
    })
    .headers({ 'cross-origin-opener-policy': 'same-origin', 'cache-control': 'no-store' })
    .type('text/html; charset=utf-8')
    .send(layout(content, title).text)
}

function layout(content: Html, title: string | undefined): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title && `${title} · `}Sandbox: a pretend Revento</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${STYLE_PATH}">
</head>
<body>
<header><p class="banner"><strong>Sandbox</strong>: a pretend Revento on your own machine. No real organizer, event or person is involved.</p></header>
${content}
</body>
</html>
`
}

export function styleRoute(app: FastifyInstance): void {
  const css = readFileSync(new URL('./sandbox.css', import.meta.url))
  app.get(STYLE_PATH, async (_request, reply) => reply.type('text/css; charset=utf-8').send(css))
}
