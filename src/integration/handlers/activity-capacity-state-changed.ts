import type { HandlerContext } from '../../builder/context.ts'

export async function activityCapacityStateChanged({
  event,
  log,
}: HandlerContext<'activity.capacity_state_changed'>): Promise<void> {
  log.info({ event_id: event.event_id, occurred_at: event.occurred_at }, 'activity.capacity_state_changed')
}
