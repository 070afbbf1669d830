import type { HandlerContext } from '../../builder/context.ts'

/** For types of which nothing is done yet. */
export async function logEvent({ event, log }: Pick<HandlerContext, 'event' | 'log'>): Promise<void> {
  log.info({ event_id: event.event_id, occurred_at: event.occurred_at }, 'nothing is done yet')
}
