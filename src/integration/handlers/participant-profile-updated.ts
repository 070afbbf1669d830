import type { HandlerContext } from '../../builder/context.ts'
import { saveParticipant } from './save-participant.ts'

export async function participantProfileUpdated({
  event,
  store,
}: HandlerContext<'participant.profile_updated'>): Promise<void> {
  await saveParticipant(store, event)
}
