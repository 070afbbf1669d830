/** How far the clocks of two instances, or of one before and after it was set, may be apart. */
const CLOCKS_APART_MS = 60_000

/**
 * The latest moment at which a lease taken by now can end. One that ends later was taken under another clock, before
 * it was set back, and does not count; a little later is only another machine, or a look at the clock before a wait.
 */
export const latestEnd = (now: number, leaseMs: number): number => now + leaseMs + CLOCKS_APART_MS
