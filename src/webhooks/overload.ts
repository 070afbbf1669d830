import type { Runtime } from '../process/runtime.ts'
import type { Inbox } from './inbox/inbox.ts'

/** What is read now has waited in its socket as long as the event loop was late, and may wait as long again. */
const LATE_MS = 2_000
/** Deliveries are committed in the order they came: the next one waits about as long as the oldest has so far. */
const WAITED_MS = 4_000

/**
 * A sender gives up after ten seconds and sends again. A request whose answer would come later is refused before its
 * signature is checked: that costs a fraction, and what was let in is answered in time.
 */
export const createOverload =
  (inbox: Pick<Inbox, 'waitedMs'>, runtime: Pick<Runtime, 'late'>) => (): boolean =>
    runtime.late() > LATE_MS || inbox.waitedMs() > WAITED_MS
