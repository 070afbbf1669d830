import type { FastifyRequest } from 'fastify'
import type { Runtime } from '../process/runtime.ts'
import { createCallerAddress, networkOf } from './caller-address.ts'

/** So many at once and, after that, one a second: an office behind one address connects, and a script does not. */
const BURST = 60
const REFILL_MS = 1_000
const NETWORKS = 10_000

interface Bucket {
  readonly tokens: number
  readonly at: number
}

/**
 * Says whether the caller may start one more flow: a token bucket for each address, in this process. Each flow is a
 * row for ten minutes and more, and 10,000 of them close /connect for everybody. Behind a proxy that TRUST_PROXY does
 * not name, all callers share its address.
 */
export function createAddressLimit(
  trustedProxies: readonly string[],
  runtime: Pick<Runtime, 'monotonic'>,
): (request: Pick<FastifyRequest, 'socket' | 'headers'>) => boolean {
  const buckets = new Map<string, Bucket>()
  const addressOf = createCallerAddress(trustedProxies)
  const refilled = ({ tokens, at }: Bucket, now: number) => Math.min(BURST, tokens + (now - at) / REFILL_MS)

  /** Forgets those that are full again; all of them, where that is not enough. */
  function sweep(now: number): void {
    if (buckets.size < NETWORKS) return
    for (const [name, bucket] of buckets) if (refilled(bucket, now) >= BURST) buckets.delete(name)
    if (buckets.size >= NETWORKS) buckets.clear()
  }

  return request => {
    const now = runtime.monotonic()
    const address = addressOf(request)
    // Nobody waits for the answer any more.
    if (address === undefined) return false
    const network = networkOf(address)
    const bucket = buckets.get(network)
    const tokens = bucket ? refilled(bucket, now) : BURST
    if (tokens < 1) return false
    if (!bucket) sweep(now)
    buckets.set(network, { tokens: tokens - 1, at: now })
    return true
  }
}
