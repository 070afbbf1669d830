import type { FastifyReply, FastifyRequest } from 'fastify'

const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/

/**
 * Cookies belong to the redirect URI's host. In development a visit under another loopback name is sent there first,
 * or the callback would not get its cookie. Never derived from the request, and never done for other hosts.
 */
export function sendToOwnHost(o: { origin: string; production: boolean }) {
  const own = new URL(o.origin).host
  const active = !o.production && LOOPBACK.test(own)
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const { host } = request.headers
    // A request line may hold a whole URL: it is not put behind ours.
    if (!request.url.startsWith('/')) return undefined
    if (!active || host === undefined || host === own || !LOOPBACK.test(host)) return undefined
    return reply.redirect(o.origin + request.url, 302)
  }
}
