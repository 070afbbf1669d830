import type { FastifyRequest } from 'fastify'
import { Problem } from './problem.ts'

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/

/**
 * The pages have no login: they trust whoever is on this machine. A web page the developer visits is not, so what a
 * browser sends from another origin is refused, and so is a foreign Host (a name rebound to loopback).
 */
export async function refuseOtherOrigins({ headers }: FastifyRequest): Promise<void> {
  const { host, origin } = headers
  if (!host || !LOOPBACK_HOST.test(host)) throw new Problem('cross_origin')
  const site = headers['sec-fetch-site']
  const isOwn =
    site === undefined ? !origin || origin === `http://${host}` : site === 'same-origin' || site === 'none'
  if (!isOwn) throw new Problem('cross_origin')
}
