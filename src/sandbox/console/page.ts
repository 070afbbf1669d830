import { readFileSync } from 'node:fs'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Html, html } from '../../http/html.ts'
import { PROBLEMS, Problem, type ProblemCode } from '../api/problem.ts'
import type { Context } from '../context.ts'
import { button, span, termText } from './views.parts.ts'

/** The stylesheet and the script of all pages, and what this console has beside them. */
const STYLES = { '/style.css': '../../http/style.css', '/sandbox.css': './sandbox.css' } as const
const SCRIPT = { '/page.js': '../../pages/page.js' } as const
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/

/** A host name rebound to loopback would let a web page read the console. */
export async function refuseForeignHosts({ headers }: FastifyRequest): Promise<void> {
  if (!headers.host || !LOOPBACK_HOST.test(headers.host)) throw new Problem('cross_origin')
}

/** The pages have no login and trust this machine's programs, but no web page: what comes from another origin is refused. */
export async function refuseOtherOrigins(request: FastifyRequest): Promise<void> {
  await refuseForeignHosts(request)
  const { host, origin, 'sec-fetch-site': site } = request.headers
  const isOwn =
    site === undefined ? !origin || origin === `http://${host}` : site === 'same-origin' || site === 'none'
  if (!isOwn) throw new Problem('cross_origin')
}

const PAGES = {
  home: { path: '/', title: 'Connections' },
  people: { path: '/people', title: 'People' },
  faults: { path: '/faults', title: 'Bad days' },
  webhooks: { path: '/webhooks', title: 'Webhooks' },
} as const

export type ConsolePage = keyof typeof PAGES

interface Content {
  /** Undefined on a page that is none of the console's own. */
  page?: ConsolePage
  notice?: string | undefined
  body: Html
  /** The URL from which the script gets the changing parts; without it they do not change. */
  stream?: string | undefined
}

/** A page of the console: its navigation, what is out of the ordinary now, and what the last button did. */
export function sendConsole(reply: FastifyReply, context: Context, { page, notice, body, stream }: Content) {
  const appUrl = new URL(context.options.redirectUri).origin
  const links = Object.entries(PAGES).map(
    ([name, { path, title }]) =>
      html`<li><a href="${path}"${name === page && html` aria-current="page"`}>${title}</a></li>`,
  )
  const content = html`<nav aria-label="Sandbox console"><ul>${links}<li><a href="${appUrl}">Your app</a></li></ul></nav>
<main${stream !== undefined && html` data-stream="${stream}" data-asks="/"`}>
<div role="status" class="status">${notice && html`<p>${notice}</p>`}</div>
${rightNow(context)}
${body}</main>`
  const title = page && PAGES[page].title
  return sendPage(reply, content, { title, status: reply.statusCode, isLive: stream !== undefined })
}

/** What is out of the ordinary, with the way back. Nothing on an ordinary day. */
function rightNow({ clock, faults, options }: Context): Html | undefined {
  const now = options.runtime.now()
  const active = faults
    .list()
    .flatMap(({ fault: { name, title }, term }) =>
      term ? [html`<li><a href="/faults#${name}">${title}</a>: ${termText(term, now)}</li>`] : [],
    )
  const ahead = clock.offset() > 0 && html`<li>The clock is ${span(clock.offset())} ahead</li>`
  if (!active.length && !ahead) return undefined
  return html`<section class="now" aria-label="Right now">
<ul>${active}${ahead}</ul>
<div class="row">
${active.length > 0 && button('/faults/clear', 'Clear all', 'end every bad day')}
${ahead && button('/clock/reset', 'Set clock back', 'to the machine’s time')}
</div></section>`
}

/** A failure in words; the log has the same `requestId`. */
export function problemBody(code: ProblemCode, requestId: string): Html {
  return html`<h1>${PROBLEMS[code][1]}</h1>
<p>Nothing was changed. <a href="/">Back to the connections</a></p>
<p class="quiet"><code>${code}</code>, request <code>${requestId}</code></p>`
}

/** Sends a page that may load this sandbox's stylesheets, and where it is live its script, and nothing else. */
export function sendPage(
  reply: FastifyReply,
  content: Html,
  o: { status?: number; formAction?: string; title?: string | undefined; isLive?: boolean } = {},
): FastifyReply {
  const { status = 200, formAction = '', title, isLive = false } = o
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    ...(isLive ? ["script-src 'self'", "connect-src 'self'"] : []),
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
      'cross-origin-opener-policy': 'same-origin',
      'cache-control': 'no-store',
    })
    .type('text/html; charset=utf-8')
    .send(layout(content, title, isLive).text)
}

function layout(content: Html, title: string | undefined, isLive: boolean): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title && `${title} · `}Sandbox: a pretend Revento</title>
<link rel="icon" href="data:,">
${Object.keys(STYLES).map(path => html`<link rel="stylesheet" href="${path}">`)}
${isLive && html`<script src="/page.js" type="module"></script>`}
</head>
<body>
<header><p class="banner"><strong>Sandbox</strong>: a pretend Revento on your own machine. No real organizer, event or person is involved.</p></header>
${content}
</body>
</html>
`
}

export function fileRoutes(app: FastifyInstance): void {
  for (const [path, file] of Object.entries({ ...STYLES, ...SCRIPT })) {
    const text = readFileSync(new URL(file, import.meta.url))
    const type = path.endsWith('.js') ? 'text/javascript' : 'text/css'
    app.get(path, async (_request, reply) => reply.type(`${type}; charset=utf-8`).send(text))
  }
}
