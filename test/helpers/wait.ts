import { setTimeout as delay } from 'node:timers/promises'

/** Polls until the condition gives something truthy; fails with the last value after `ms`. */
export async function until<T>(
  condition: () => T | Promise<T>,
  ms = 10_000,
): Promise<Exclude<T, false | undefined | null>> {
  const end = Date.now() + ms
  for (;;) {
    const value = await condition()
    if (value) return value as Exclude<T, false | undefined | null>
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${condition.toString()}`)
    await delay(15)
  }
}
