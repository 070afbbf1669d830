import { readFileSync } from 'node:fs'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { type Html, html } from '../html.ts'

const STYLE_PATH = '/sandbox.css'

/** Sends a page that may load this sandbox's stylesheet and nothing else. */
export function sendPage(
  reply: FastifyReply,
  body: Html,
  { status = 200, formAction = '' }: { status?: number; formAction?: string } = {},
): FastifyReply {
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
    .send(layout(body).text)
}

function layout(body: Html): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sandbox: a pretend Revento</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${STYLE_PATH}">
</head>
<body>
<p class="banner">Sandbox: a pretend Revento on your own machine. No real organizer, event or person is involved.</p>
<main>${body}</main>
</body>
</html>
`
}

export function styleRoute(app: FastifyInstance): void {
  const css = readFileSync(new URL('./sandbox.css', import.meta.url))
  app.get(STYLE_PATH, async (_request, reply) => reply.type('text/css; charset=utf-8').send(css))
}
