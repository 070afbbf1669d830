import type { HandlerContext } from '../../builder/context.ts'
import { saveParticipant } from './save-participant.ts'

export async function applicationSubmitted({
  event,
  store,
}: HandlerContext<'application.submitted'>): Promise<void> {
  await saveParticipant(store, event, 'pending')
}
