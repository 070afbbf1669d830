import type { HandlerContext } from '../../builder/context.ts'
import { saveParticipant } from './save-participant.ts'

export async function applicationRejected({
  event,
  store,
}: HandlerContext<'application.rejected'>): Promise<void> {
  await saveParticipant(store, event, 'rejected')
}
