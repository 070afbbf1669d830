import type { HandlerContext } from './context.ts'

/** The connection has ended: everything stored for the event goes, here and in whatever you keep elsewhere. */
export async function dataDeletionRequired(context: HandlerContext<'data.deletion_required'>): Promise<void> {
  const { event, store, log } = context
  if (event.event_id === null) return log.warn({}, 'data.deletion_required without an event id')
  await store.erase(event.event_id)
  log.info({ event_id: event.event_id }, 'stored data of the event erased')
}
