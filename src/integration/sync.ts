import type { SyncChoices } from '../builder/participants.ts'

/**
 * The participants of a connected event are copied when it is connected, kept by webhooks, and compared with Revento every
 * SYNC_EVERY_HOURS. What a comparison finds comes to your handlers of `sync`, as a webhook would. `tellFirstRun`: the first
 * one after a connect tells of everybody, each as a `participant.added`, and of each copied activity.
 */
export const sync: SyncChoices = { tellFirstRun: false }
