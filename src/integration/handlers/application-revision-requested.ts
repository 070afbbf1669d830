import type { HandlerContext } from '../../builder/context.ts'
import { saveParticipant } from './save-participant.ts'

export async function applicationRevisionRequested({
  event,
  store,
}: HandlerContext<'application.revision_requested'>): Promise<void> {
  await saveParticipant(store, event, 'revision_requested')
}
