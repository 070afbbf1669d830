import type { HandlerContext } from '../../builder/context.ts'
import { saveParticipant } from './save-participant.ts'

export async function participantRegistered({
  event,
  store,
}: HandlerContext<'participant.registered'>): Promise<void> {
  await saveParticipant(store, event)
}
