import type { HandlerContext } from '../../webhooks/dispatch/context.ts'
import { saveParticipant } from './save-participant.ts'

export async function participantRegistered({
  event,
  store,
}: HandlerContext<'participant.registered'>): Promise<void> {
  await saveParticipant(store, event)
}
