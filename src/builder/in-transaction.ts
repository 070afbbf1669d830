import { AsyncLocalStorage } from 'node:async_hooks'
import { HandlerMistake } from '../process/mistake.ts'

/** Whether this code was called from inside a transaction of the builder's. */
export const inTransaction = new AsyncLocalStorage<true>()

export function refuseInTransaction(): void {
  if (inTransaction.getStore())
    throw new HandlerMistake('inside a transaction use the trx that it hands out, and neither db nor once()')
}
