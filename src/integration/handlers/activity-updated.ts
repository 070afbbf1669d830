import type { HandlerContext } from '../../builder/context.ts'

export async function activityUpdated({ event, log }: HandlerContext<'activity.updated'>): Promise<void> {
  log.info({ event_id: event.event_id, occurred_at: event.occurred_at }, 'activity.updated')
}
