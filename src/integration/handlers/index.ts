import type { Handlers } from '../../builder/context.ts'
import { applicationApproved } from './application-approved.ts'
import { barkerMessage } from './barker-message.ts' // part: senders
import { integrationSuspended } from './integration-suspended.ts'
import { logEvent } from './log-event.ts'
import { playerVerify } from './player-verify.ts' // part: senders

/** The only list. An event whose type is not here is stored and marked `ignored` (Aghanim: refused with 400). */
export const handlers: Handlers = {
  revento: {
    'application.submitted': logEvent,
    'application.approved': applicationApproved,
    'application.rejected': logEvent,
    'application.revision_requested': logEvent,
    'participant.registered': logEvent,
    'participant.profile_updated': logEvent,
    'activity.updated': logEvent,
    'activity.capacity_state_changed': logEvent,
    'data.deletion_required': logEvent,
    'integration.suspended': integrationSuspended,
  },
  // What a comparison of the participants with Revento's list finds: see ../sync.ts.
  sync: {
    'participant.added': logEvent,
    'participant.changed': logEvent,
    'participant.removed': logEvent,
  },
  aghanim: { 'player.verify': playerVerify }, // part: senders
  barker: { message: barkerMessage }, // part: senders
}
