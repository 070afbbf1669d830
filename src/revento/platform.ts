/** The Revento platform as facts: names, paths, limits. */

export const AUTHORIZE_PATH = '/oauth/authorize'
export const TOKEN_PATH = '/oauth/token'
export const ACCEPT = 'application/vnd.revento.v1+json'
export const REQUEST_ID_HEADER = 'x-revento-request-id'

export const SCOPES = ['event.read', 'participants.read', 'program.read'] as const
export type Scope = (typeof SCOPES)[number]
/** The scopes of Login with Revento. A token has scopes of one flow only. */
export const USER_SCOPES = ['profile.read', 'event.attendance'] as const
export type UserScope = (typeof USER_SCOPES)[number]

/** The two kinds of access token: neither is taken where the other is wanted, here by the types and there by Revento. */
export type InstallationToken = string & { readonly kind?: 'installation' }
export type UserToken = string & { readonly kind?: 'user' }
/** What a token of an installation begins with. */
export const INSTALLATION_PREFIX = 'rev_install_'

/** Lifetimes in seconds: access token, sliding refresh token, hard end of a consent. */
export const ACCESS_TOKEN_S = 3600
export const REFRESH_TOKEN_S = 7_776_000
export const CONSENT_S = 31_536_000

/** The limits of one access token. */
export const RATE = { inFlight: 5, perMinute: 30, perHour: 500 } as const
export const USER_RATE = { inFlight: RATE.inFlight, perMinute: 20, perHour: 200 } as const
export const PAGE_LIMIT = { default: 25, max: 50 } as const

/** Ids are opaque, but must not change a path: `encodeURIComponent('..')` is `..`, and URL normalises it away. */
export const ID = /^[A-Za-z0-9_-]{1,128}$/

/** A connection is one organization's consent for one event. */
export interface ConnectionKey {
  readonly eventId: string
  readonly organizationId: string
}

/** A participant's consent for one event. The id is ours, because Revento's answer may not name the participant. */
export interface SignInKey {
  readonly eventId: string
  readonly signIn: string
}

export type GrantKey = ConnectionKey | SignInKey

/** A text that differs for each grant. */
export const grantName = (key: GrantKey): string =>
  'signIn' in key ? `sign-in ${key.signIn}` : `${key.eventId} ${key.organizationId}`

const APPLICATION_STATUSES = ['pending', 'approved', 'rejected', 'revision_requested'] as const
export type ApplicationStatus = (typeof APPLICATION_STATUSES)[number]

/** The event types the guide shows; the catalog itself was not visible, so other types exist. */
export const EVENT_TYPES = [
  'application.submitted',
  'application.approved',
  'application.rejected',
  'application.revision_requested',
  'participant.registered',
  'participant.profile_updated',
  'activity.updated',
  'activity.capacity_state_changed',
  'data.deletion_required',
  'integration.suspended',
] as const
/** Ends a connection: what is stored for its event has to be deleted. */
export const DELETION_REQUIRED = 'data.deletion_required'
/** Concerns the whole integration: its envelope names no event. */
export const SUSPENDED = 'integration.suspended'
export type EventType = (typeof EVENT_TYPES)[number]

/** An open object: the guide shows no complete row, so every member may be missing, and others may be there. */
export type Row = Record<string, unknown>

export interface EventRow extends Row {
  title?: string
  description?: string | null
  status?: string
  publish_status?: string
}

export interface ParticipantRow extends Row {
  application_status?: ApplicationStatus
  role?: string
  custom_form_fields?: Record<string, unknown>
  /** These three are about the latest review only. */
  last_reviewed_at?: string | null
  last_reviewer_id?: string | null
  last_review_action?: 'approved' | 'rejected' | 'revision_requested' | null
}

export interface ProfileRow extends Row {
  name?: string
  email?: string
}

/** The participant's own application to the event. */
export interface ApplicationRow extends Row {
  application_status?: ApplicationStatus
  role?: string
}

export interface ActivityRow extends Row {
  status?: string
}

export interface Page<R = Row> {
  data: R[]
  next_cursor: string | null
  has_more: boolean
}
