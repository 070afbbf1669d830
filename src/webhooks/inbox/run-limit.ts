// part: senders
import { networkOf } from '../../http/caller-address.ts'
import type { Runtime } from '../../process/runtime.ts'

const PER_MINUTE = 10
const MINUTE_MS = 60_000
const ADDRESSES = 10_000

/** Counts failures by address in this process, and says whether one more try is allowed in this minute. */
export function createAttemptsLimit(runtime: Pick<Runtime, 'monotonic'>) {
  let failures = new Map<string, number>()
  let since = Number.NEGATIVE_INFINITY
  const current = () => {
    const now = runtime.monotonic()
    if (now - since >= MINUTE_MS || failures.size >= ADDRESSES) {
      failures = new Map()
      since = now
    }
    return failures
  }
  return {
    mayTry: (address: string) => (current().get(networkOf(address)) ?? 0) < PER_MINUTE,
    failed(address: string): void {
      const network = networkOf(address)
      current().set(network, (current().get(network) ?? 0) + 1)
    },
  }
}
