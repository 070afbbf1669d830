import type { HandlerContext } from '../../webhooks/dispatch/context.ts'
import { saveParticipant } from './save-participant.ts'

export async function applicationRejected({
  event,
  store,
}: HandlerContext<'application.rejected'>): Promise<void> {
  await saveParticipant(store, event, 'rejected')
}
