import type { EventType } from './platform.ts'

/** Open: the guide shows the fields of `application.approved` only; everything else passes as it came. */
type Open = Record<string, unknown>

export interface ApplicationApproved extends Open {
  id: string
  participant_id: string
  user_id: string
  status: 'approved'
  approved_at: string
  approver_id: string
  custom_form_fields: Open
}

interface EventData {
  'application.approved': ApplicationApproved
}

/** `data` is the resource as it was when the event happened: act on it without an API call. */
export type DataOf<T extends string> = T extends keyof EventData ? EventData[T] : Open

/** The signed envelope. Both ids are null on integration-level events. Times are ISO 8601 UTC. */
export interface ReventoEvent<T extends string = EventType> {
  readonly id: string
  readonly type: T
  readonly occurred_at: string
  readonly event_id: string | null
  readonly organization_id: string | null
  readonly data: DataOf<T>
}
