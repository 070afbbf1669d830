import type { Erase } from '../builder/erase.ts'

/**
 * What has to go from your tables, and from wherever else you keep copies, when Revento asks that an event be erased, or
 * a person asks for it. May run twice, so write it to be safe to repeat. For instance:
 *
 *   async event({ db, eventId }) {
 *     await db.deleteFrom('app_welcomes').where('event_id', '=', eventId).execute()
 *   },
 */
export const erase: Erase = {}
