import { BlockList, isIP, isIPv6 } from 'node:net'
import type { FastifyRequest } from 'fastify'

/**
 * The address a request came from: the socket's peer, or, where the peer is a configured proxy, the first address in
 * X-Forwarded-For from the right that is none. Where a proxy names no address, the proxy itself is the caller: what
 * stands to the left may be the sender's own. Undefined for a socket that is gone. Fastify's own option is not used: it
 * takes the host of such a request from a header too.
 */
export function createCallerAddress(trustedProxies: readonly string[]) {
  const proxies = new BlockList()
  for (const range of trustedProxies) {
    const [address = '', bits] = range.split('/')
    const family = isIPv6(address) ? 'ipv6' : 'ipv4'
    if (bits === undefined) proxies.addAddress(address, family)
    else proxies.addSubnet(address, Number(bits), family)
  }
  const isProxy = (address: string) => proxies.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

  return ({ socket, headers }: Pick<FastifyRequest, 'socket' | 'headers'>): string | undefined => {
    const forwarded = [headers['x-forwarded-for'] ?? []].flat().join(',').split(',')
    let caller = canonicalAddress(socket.remoteAddress ?? '')
    while (caller !== undefined && isProxy(caller)) {
      const next = canonicalAddress(withoutPort(forwarded.pop()?.trim() ?? ''))
      if (next === undefined) break
      caller = next
    }
    return caller
  }
}

/** Some proxies add the port, or write IPv6 in brackets, or both. */
const withoutPort = (entry: string): string =>
  /^\[(.*)\](?::\d{1,5})?$/.exec(entry)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(entry)?.[1] ?? entry

/**
 * One spelling for each address, undefined for what is none: IPv6 has many, an IPv4 address may stand inside an IPv6
 * one, and a zone says by which interface of this machine it came.
 */
export function canonicalAddress(address: string): string | undefined {
  if (isIP(address) !== 6) return isIP(address) === 4 ? address : undefined
  const short = new URL(`http://[${address.replace(/%.*/, '')}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short)
  if (!mapped) return short
  const [, high = '', low = ''] = mapped
  return [...Buffer.from(high.padStart(4, '0') + low.padStart(4, '0'), 'hex')].join('.')
}

/** Whoever has one IPv6 address has the 2^64 beside it. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [before = '', after = ''] = address.split('::')
  const groups = before.split(':').filter(Boolean)
  const rest = after.split(':').filter(Boolean)
  const zeros = address.includes('::') ? 8 - groups.length - rest.length : 0
  return [...groups, ...Array(zeros).fill('0'), ...rest].slice(0, 4).join(':')
}
