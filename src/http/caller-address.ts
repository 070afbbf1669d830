import { BlockList, isIP, isIPv6 } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { Runtime } from '../process/runtime.ts'

/**
 * The address a request came from: the socket's peer, or, where that is a configured proxy, the rightmost address in
 * X-Forwarded-For that is none, or else the proxy, because entries further left may be forged. Undefined for a closed socket.
 * Fastify's trustProxy is not used: it would also take the host from a header.
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

/** Some proxies add a port, or write IPv6 in brackets, or both. */
const withoutPort = (entry: string): string =>
  /^\[(.*)\](?::\d{1,5})?$/.exec(entry)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(entry)?.[1] ?? entry

/**
 * Gives an address its one spelling; undefined for a text that is no address. IPv6 has many spellings, an IPv4 address
 * may stand inside an IPv6 address, and a zone only names an interface of this machine.
 */
export function canonicalAddress(address: string): string | undefined {
  if (isIP(address) !== 6) return isIP(address) === 4 ? address : undefined
  const short = new URL(`http://[${address.replace(/%.*/, '')}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short)
  if (!mapped) return short
  const [, high = '', low = ''] = mapped
  return [...Buffer.from(high.padStart(4, '0') + low.padStart(4, '0'), 'hex')].join('.')
}

/** The network that a limit counts: a caller with one IPv6 address usually has all 2^64 of its network. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address
  const [before = '', after = ''] = address.split('::')
  const groups = before.split(':').filter(Boolean)
  const rest = after.split(':').filter(Boolean)
  const zeros = address.includes('::') ? 8 - groups.length - rest.length : 0
  return [...groups, ...Array(zeros).fill('0'), ...rest].slice(0, 4).join(':')
}

/** A network may start this many flows at once, and then one a second: enough for an office, too few for a script. */
const BURST = 60
const REFILL_MS = 1_000
const NETWORKS = 10_000

interface AddressLimit {
  readonly burst: number
  readonly refillMs: number
}

interface Bucket {
  readonly tokens: number
  readonly at: number
}

/**
 * Decides whether a caller may start one more flow, or whatever else is limited, with a token bucket for each network in
 * this process. A flow is a row for ten minutes and more, and 10,000 of them close /connect for everybody. Behind a proxy
 * that TRUST_PROXY does not name, all callers share the proxy's address.
 */
export function createAddressLimit(
  trustedProxies: readonly string[],
  runtime: Pick<Runtime, 'monotonic'>,
  { burst, refillMs }: AddressLimit = { burst: BURST, refillMs: REFILL_MS },
): (request: Pick<FastifyRequest, 'socket' | 'headers'>) => boolean {
  const buckets = new Map<string, Bucket>()
  const addressOf = createCallerAddress(trustedProxies)
  const refilled = ({ tokens, at }: Bucket, now: number) => Math.min(burst, tokens + (now - at) / refillMs)

  /** Forgets the buckets that are full again, or all of them where that is not enough. */
  function sweep(now: number): void {
    if (buckets.size < NETWORKS) return
    for (const [name, bucket] of buckets) if (refilled(bucket, now) >= burst) buckets.delete(name)
    if (buckets.size >= NETWORKS) buckets.clear()
  }

  return request => {
    const now = runtime.monotonic()
    const address = addressOf(request)
    // The socket is closed, so the answer would reach nobody.
    if (address === undefined) return false
    const network = networkOf(address)
    const bucket = buckets.get(network)
    const tokens = bucket ? refilled(bucket, now) : burst
    if (tokens < 1) return false
    if (!bucket) sweep(now)
    buckets.set(network, { tokens: tokens - 1, at: now })
    return true
  }
}
