import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Platform } from '../storage/schema.ts'

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

/**
 * Begins the name of every cookie. A browser tells neither the ports nor the paths of a host apart, so two copies on one
 * host would end each other's sessions and flows; the sandbox and the real platform would, too.
 */
export const cookiePrefix = (o: { https: boolean; mode: Platform; redirectUri: string }): string =>
  `${o.https ? '__Host-' : ''}${hash('sha256', `${o.mode} ${o.redirectUri}`).slice(0, 8)}_`
