import type { FastifyRequest } from 'fastify'
import { Problem } from '../api/problem.ts'

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/

/** A name rebound to loopback would let a web page read what stands here. */
export async function refuseForeignHosts({ headers }: FastifyRequest): Promise<void> {
  if (!headers.host || !LOOPBACK_HOST.test(headers.host)) throw new Problem('cross_origin')
}

/**
 * The pages have no login: they trust whoever is on this machine. A web page the developer visits is not, so what a
 * browser sends from another origin is refused.
 */
export async function refuseOtherOrigins(request: FastifyRequest): Promise<void> {
  await refuseForeignHosts(request)
  const { headers } = request
  const { host, origin } = headers
  const site = headers['sec-fetch-site']
  const isOwn =
    site === undefined ? !origin || origin === `http://${host}` : site === 'same-origin' || site === 'none'
  if (!isOwn) throw new Problem('cross_origin')
}
