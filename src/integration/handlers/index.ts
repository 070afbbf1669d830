import type { Handlers } from '../../builder/context.ts'
import { activityCapacityStateChanged } from './activity-capacity-state-changed.ts'
import { activityUpdated } from './activity-updated.ts'
import { applicationApproved } from './application-approved.ts'
import { applicationRejected } from './application-rejected.ts'
import { applicationRevisionRequested } from './application-revision-requested.ts'
import { applicationSubmitted } from './application-submitted.ts'
import { barkerMessage } from './barker-message.ts'
import { dataDeletionRequired } from './data-deletion-required.ts'
import { integrationSuspended } from './integration-suspended.ts'
import { participantProfileUpdated } from './participant-profile-updated.ts'
import { participantRegistered } from './participant-registered.ts'
import { playerVerify } from './player-verify.ts'

/** The only list. An event whose type is not here is stored and marked `ignored` (Aghanim: refused with 400). */
export const handlers: Handlers = {
  revento: {
    'application.submitted': applicationSubmitted,
    'application.approved': applicationApproved,
    'application.rejected': applicationRejected,
    'application.revision_requested': applicationRevisionRequested,
    'participant.registered': participantRegistered,
    'participant.profile_updated': participantProfileUpdated,
    'activity.updated': activityUpdated,
    'activity.capacity_state_changed': activityCapacityStateChanged,
    'data.deletion_required': dataDeletionRequired,
    'integration.suspended': integrationSuspended,
  },
  aghanim: { 'player.verify': playerVerify },
  barker: { message: barkerMessage },
}
