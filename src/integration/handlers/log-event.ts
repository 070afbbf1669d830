import type { Log } from '../../process/log.ts'

interface Logged {
  readonly event: { readonly event_id: string | null; readonly occurred_at: string }
  readonly log: Log
}

/** A handler for event types that nothing is done for yet. */
export async function logEvent({ event, log }: Logged): Promise<void> {
  log.info({ event_id: event.event_id, occurred_at: event.occurred_at }, 'nothing is done yet')
}
