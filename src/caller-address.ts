import { BlockList, isIP, isIPv6 } from 'node:net'
import type { FastifyRequest } from 'fastify'

/**
 * The address a request came from: the socket's peer, or, where the peer is a configured proxy, the first address in
 * X-Forwarded-For from the right that is none. Fastify's own option is not used: it takes the host of such a request
 * from a header too. Undefined when a proxy names no address.
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
    let caller = plain(socket.remoteAddress ?? '')
    while (caller !== undefined && isProxy(caller) && forwarded.length > 0) {
      const next = forwarded.pop()?.trim() ?? ''
      if (next === '' && forwarded.length === 0) break
      caller = plain(next)
    }
    return caller
  }
}

/** One spelling for each address: an IPv4 address may arrive inside an IPv6 one, and IPv6 has many. */
function plain(address: string): string | undefined {
  const [mapped] = /(?<=^::ffff:)\d+\.\d+\.\d+\.\d+$/i.exec(address) ?? [address]
  if (isIP(mapped) === 0 || mapped.includes('%')) return undefined
  return isIPv6(mapped) ? new URL(`http://[${mapped}]`).hostname.slice(1, -1) : mapped
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
