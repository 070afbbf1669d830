import type { SyncChoices } from '../builder/participants.ts'

/**
 * The participants of a connected event are copied when it is connected, kept by webhooks, and compared with Revento every
 * SYNC_EVERY_HOURS. What a comparison finds comes to your handlers of `sync`, as a webhook would. With `tellFirstRun` the
 * first comparison after a connect finds everybody, each as a `participant.added`, and each activity.
 */
export const sync: SyncChoices = { tellFirstRun: false }
