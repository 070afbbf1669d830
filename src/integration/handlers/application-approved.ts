import type { HandlerContext } from '../../builder/context.ts'

/** The place for what your integration does when somebody gets in: a badge, a seat, a welcome. */
export async function applicationApproved(context: HandlerContext<'application.approved'>): Promise<void> {
  const { event, log } = context
  log.info({ participant_id: event.data.participant_id }, 'application approved')
}
