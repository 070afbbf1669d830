import type { HandlerContext } from '../../builder/context.ts'

/**
 * By now this app has erased what it stores for the event and organization, and ended their connection. The place to
 * delete what you keep elsewhere.
 */
export async function dataDeletionRequired({
  event,
  log,
}: HandlerContext<'data.deletion_required'>): Promise<void> {
  log.info({ event_id: event.event_id }, 'nothing is kept elsewhere')
}
