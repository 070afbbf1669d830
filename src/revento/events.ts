import type { EventType } from './platform.ts'

/** An object of any fields: the guide shows those of `application.approved`, and one of `application.rejected`. */
type Open = Record<string, unknown>

interface ApplicationApproved extends Open {
  id: string
  participant_id: string
  user_id: string
  status: 'approved'
  approved_at: string
  approver_id: string
  custom_form_fields: Open
}

interface ApplicationRejected extends Open {
  rejected_at: string
}

interface EventData {
  'application.rejected': ApplicationRejected
  'application.approved': ApplicationApproved
}

/** The type of `data`: the resource as it was when the event happened, so a handler can act without an API call. */
export type DataOf<T extends string> = T extends keyof EventData ? EventData[T] : Open

/** The signed envelope. Both ids are null on integration-level events. Times are ISO 8601 UTC. */
export interface ReventoEvent<T extends string = EventType, Data = DataOf<T>> {
  readonly id: string
  readonly type: T
  readonly occurred_at: string
  readonly event_id: string | null
  readonly organization_id: string | null
  readonly data: Data
}

const ISO_8601 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?$/

/** Reads a time of an envelope as ms since 1970, without a zone as UTC. Undefined where it is no time. */
export function momentOf(time: unknown): number | undefined {
  const match = typeof time === 'string' ? ISO_8601.exec(time) : null
  const ms = match ? Date.parse(match[3] ? match[0] : `${match[0]}Z`) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}
