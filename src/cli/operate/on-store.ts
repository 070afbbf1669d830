import { storageAdvice } from '../../storage/advice.ts'
import type { Store } from '../../storage/database.ts'

/** The store cannot be used: in words for the operator, who has no use for a stack. */
export class Unusable extends Error {}

export async function onStore<T>(store: Store, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const advice = storageAdvice(error, store)
    throw advice === undefined ? error : new Unusable(advice, { cause: error })
  }
}
