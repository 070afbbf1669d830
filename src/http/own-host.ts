import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Platform } from '../storage/schema.ts'

const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/

/**
 * Redirects a visit under another loopback name to the redirect URI's host, in development only: cookies belong to that
 * host, and the callback would not get its cookie. The target never comes from the request.
 */
export function sendToOwnHost(o: { origin: string; production: boolean }) {
  const own = new URL(o.origin).host
  const active = !o.production && LOOPBACK.test(own)
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const { host } = request.headers
    // A request line may hold a whole URL, which must not be appended to ours.
    if (!request.url.startsWith('/')) return undefined
    if (!active || host === undefined || host === own || !LOOPBACK.test(host)) return undefined
    return reply.redirect(o.origin + request.url, 302)
  }
}

/**
 * The prefix of every cookie's name. A browser does not separate the ports or paths of a host, so without it two copies
 * of the app on one host, or the sandbox and the real platform, would end each other's sessions and flows.
 */
export const cookiePrefix = (o: { https: boolean; mode: Platform; redirectUri: string }): string =>
  `${o.https ? '__Host-' : ''}${hash('sha256', `${o.mode} ${o.redirectUri}`).slice(0, 8)}_`
