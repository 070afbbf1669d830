import type { Generated, Selectable } from 'kysely'

/** Times are milliseconds since 1970; blobs marked sealed are AES-256-GCM (see sealing.ts). */
export interface Schema {
  flows: FlowsTable
  connections: ConnectionsTable
  sessions: SessionsTable
  session_connections: SessionConnectionsTable
  inbox: InboxTable
  delivery_keys: DeliveryKeysTable
  attempts: AttemptsTable
  effects: EffectsTable
  participants: ParticipantsTable
  erasures: ErasuresTable
  health: HealthTable
  sealing_keys: SealingKeysTable
  inline_answers: InlineAnswersTable
  handshake_callers: HandshakeCallersTable
  key_uses: KeyUsesTable
  api_budgets: ApiBudgetsTable
  key_instances: KeyInstancesTable
  jobs: JobsTable
}

export interface FlowsTable {
  state_hash: string
  cookie_hash: string
  /** Sealed; null once used. */
  verifier: Uint8Array | null
  event_id: string
  created_at: number
  expires_at: number
  used_at: number | null
}

/** Who issued the tokens, or signed the delivery: what belongs to one platform does not exist for the other. */
export type Platform = 'sandbox' | 'real'

export type ConnectionState = 'connected' | 'reconsent' | 'revoked' | 'suspended' | 'deleted'

export interface ConnectionsTable {
  event_id: string
  organization_id: string
  state: ConnectionState
  reason: string | null
  scope: string
  /** Sealed; null when the connection has ended. */
  access_token: Uint8Array | null
  refresh_token: Uint8Array | null
  access_expires_at: number
  refresh_expires_at: number
  consent_expires_at: number
  /** Fence: every change of tokens or state adds one, and a writer that read an older one loses. */
  version: number
  connected_at: number
  updated_at: number
  platform: Generated<Platform>
  /** The newest delivery when the organizer consented: those up to it came under an earlier consent, or none. */
  after_delivery: Generated<number>
  /** Who may spend the refresh token, and until when; see oauth/refresh-lease. */
  lease_owner: Generated<string | null>
  lease_until: Generated<number>
  refresh_phase: Generated<RefreshPhase>
  /** Not asked again before this moment, as noted then; why; how many failures in a row, and since when. */
  refresh_not_before: Generated<number>
  refresh_noted_at: Generated<number>
  refresh_failure: Generated<RefreshFailure | null>
  refresh_failures: Generated<number>
  refresh_failing_since: Generated<number>
  /** When the app last called with it of its own accord, and how often in a row that brought nothing. */
  asked_at: Generated<number>
  asks: Generated<number>
}

export type ConnectionRow = Selectable<ConnectionsTable>
export type RefreshPhase = 'idle' | 'sent'
export type RefreshFailure = 'upstream_error' | 'upstream_timeout' | 'configuration_error'

export interface SessionsTable {
  id_hash: string
  created_at: number
  expires_at: number
  /** The session that took this one's place; for a minute only. */
  successor: Generated<string | null>
  /** Which platform its connections are of: on the other one it counts as none. */
  platform: Generated<Platform>
}

export interface SessionConnectionsTable {
  session_hash: string
  event_id: string
  organization_id: string
}

export type DeliveryState = 'pending' | 'running' | 'done' | 'ignored' | 'duplicate' | 'parked' | 'dead'

export interface InboxTable {
  id: Generated<number>
  provider: string
  delivery_id: string | null
  envelope_id: string
  type: string
  event_id: string | null
  organization_id: string | null
  state: DeliveryState
  attempts: number
  /** Claims whose lease ran out: their process ended before their handler did. */
  crashes: Generated<number>
  /** When it may be claimed: 0 for a new one, a retry's time, or the end of the running claim's lease. */
  next_at: number
  lease_owner: string | null
  received_at: number
  finished_at: number | null
  last_error: string | null
  duplicate_of: number | null
  /** The raw bytes as signed; null for duplicates and after deletion. */
  body: Uint8Array | null
  platform: Generated<Platform>
}

/** Which delivery came first under a key (see webhooks/dedupe); goes together with its delivery. */
export interface DeliveryKeysTable {
  key: string
  inbox_id: number
}

export type AttemptOutcome =
  | 'done'
  | 'ignored'
  | 'parked'
  | 'dead'
  | 'retry'
  | 'postponed'
  | 'released'
  | 'interrupted'

/** One run of a handler. `ended_at` is null where its process ended first; `calls` is JSON, see webhooks/run.ts. */
export interface AttemptsTable {
  inbox_id: number
  started_at: number
  ended_at: number | null
  attempt: number
  outcome: AttemptOutcome
  error: string | null
  calls: string | null
}

/** What an effect outside brought that a handler gave a name; see builder/once. `result` is JSON, null for none. */
export interface EffectsTable {
  inbox_id: number
  name: string
  attempt: number
  started_at: number
  ended_at: number
  result: string | null
}

/**
 * What webhooks said of a participant. `*_at` is the time that a fact speaks of (ISO 8601 UTC, '' where the sender gave
 * none), `*_delivery` the delivery that brought it.
 */
export interface ParticipantsTable {
  platform: Platform
  event_id: string
  /** '' where the webhook named none. */
  organization_id: string
  participant_id: string
  name: string | null
  name_at: string | null
  name_delivery: number | null
  application_status: string | null
  status_at: string | null
  status_delivery: number | null
  last_type: string
  occurred_at: string
  last_delivery: number
  updated_at: number
}

/** What is stored for one (platform, event, organization) has to go; see storage/erasures. */
export interface ErasuresTable {
  platform: Platform
  event_id: string
  /** '' where the ending named none. */
  organization_id: string
  erased_at: number
  /** The last delivery that has to go: all, until the organizer consents again. */
  through: number
  /** The last delivery that is gone. */
  swept: number
  /** The delivery that asked for it, and the last one for which the builder's `erase` has done its part. */
  ending: Generated<number>
  own_done: Generated<number>
}

export interface HealthTable {
  id: number
  checked_at: number
}

/** Every key that ever sealed something here; rows stay, so that a missing key is told from a damaged value. */
export interface SealingKeysTable {
  /** In hex, as it stands in each sealed value. */
  key_id: string
  /** The highest is the key in use; 0: known as a previous key only. */
  generation: number
  /** Sealed; null while generation is 0. */
  check_value: Uint8Array | null
}

/** A request that is answered by its handler; see webhooks/inline-answers. */
export interface InlineAnswersTable {
  key: string
  /** Null while it has no answer: then somebody with a lease is making one. */
  status: number | null
  body: string | null
  inbox_id: number | null
  event_id: string | null
  lease_owner: string | null
  lease_until: number
  /** When it was claimed, then when it was answered. */
  updated_at: number
}

export interface HandshakeCallersTable {
  address: string
  registered_at: number
}

/** A running process; see storage/key-instances. */
export interface KeyInstancesTable {
  instance: string
  /** The ids of the keys it holds, with a space between. */
  keys: string
  /** Grows while it runs. */
  beats: number
}

/** When a secret or key was last used, whichever role it had; see rotation/meter. */
export interface KeyUsesTable {
  variable: string
  /** Tells this key from those before and after it; see `fingerprints` in sealing.ts. */
  fingerprint: string
  /** When counting began. */
  since: number
  /** 0: not since then. */
  last_used_at: number
}

/** What a connection has used of Revento's limits; `budget` is JSON, see revento/budget. */
export interface ApiBudgetsTable {
  platform: 'sandbox' | 'real'
  event_id: string
  organization_id: string
  budget: string
}

/** The builder's jobs. One that has a lease runs; see builder/jobs. */
export interface JobsTable {
  platform: Platform
  name: string
  /** Each claim adds one. */
  fence: number
  lease_owner: string | null
  lease_until: number
  /** Of the last run. */
  started_at: number | null
  finished_at: number | null
  outcome: 'done' | 'failed' | 'missed' | null
  last_error: string | null
  runs: number
  failed: number
  missed: number
}
