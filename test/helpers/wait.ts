import { setTimeout as delay } from 'node:timers/promises'

const MOST_MS = 15

/** Polls, at first more often, until the condition returns something truthy; after `ms` it fails with the last value. */
export async function until<T>(
  condition: () => T | Promise<T>,
  ms = 20_000,
): Promise<Exclude<T, false | undefined | null>> {
  const end = Date.now() + ms
  for (let pause = 1; ; pause = Math.min(pause * 2, MOST_MS)) {
    const value = await condition()
    if (value) return value as Exclude<T, false | undefined | null>
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${condition.toString()}`)
    await delay(pause)
  }
}
