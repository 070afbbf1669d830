import type { Generated, Selectable } from 'kysely'

/** The tables. Times are ms since 1970; sealed blobs are AES-256-GCM (see keys/sealing). */
export interface Schema {
  flows: FlowsTable
  connections: ConnectionsTable
  sign_ins: SignInsTable
  sign_in_sessions: SignInSessionsTable
  sessions: SessionsTable
  session_connections: SessionConnectionsTable
  deliveries: DeliveriesTable
  outcomes: OutcomesTable
  inbox: InboxView
  runs: AttemptsTable
  refused_inserts: RefusedInsertsTable
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
  platform_drift: PlatformDriftTable
  sync_runs: SyncRunsTable
  activities: ActivitiesTable
  operator_sessions: OperatorSessionsTable
  rollups: RollupsTable
  replays: ReplaysTable
  reruns: RerunsTable
}

export interface FlowsTable {
  state_hash: string
  cookie_hash: string
  /** Sealed; null once the flow is used. */
  verifier: Uint8Array | null
  event_id: string
  created_at: number
  expires_at: number
  used_at: number | null
  /** Whose consent it asks for, and so which table its tokens go to. */
  kind: Generated<GrantKind>
}

/** An organizer's consent (an installation), or a participant's. */
export type GrantKind = 'installation' | 'user'

/** Which Revento issued the tokens or signed the delivery. Rows of one platform do not exist for the other. */
export type Platform = 'sandbox' | 'real'

export type ConnectionState = 'connected' | 'reconsent' | 'revoked' | 'suspended' | 'deleted'

/** What both kinds of grant have: a sealed pair of tokens, their state, their fence and the lease of a refresh. */
export interface GrantColumns {
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
  /** The fence: every change of tokens or state adds one, and a writer that read an older version changes nothing. */
  version: number
  connected_at: number
  updated_at: number
  platform: Generated<Platform>
  /** The caller that may spend the refresh token, and until when; see oauth/refresh-lease. */
  lease_owner: Generated<string | null>
  lease_until: Generated<number>
  refresh_phase: Generated<RefreshPhase>
  /** When the next refresh may be sent, when that was noted, and why; the failures in a row, and since when. */
  refresh_not_before: Generated<number>
  refresh_noted_at: Generated<number>
  refresh_failure: Generated<RefreshFailure | null>
  refresh_failures: Generated<number>
  refresh_failing_since: Generated<number>
}

export interface ConnectionsTable extends GrantColumns {
  /** The newest delivery when the organizer consented: deliveries up to it came before this consent. */
  after_delivery: Generated<number>
  /** When the app last made a keep-alive call, and how often in a row such a call brought nothing. */
  asked_at: Generated<number>
  asks: Generated<number>
}

export type ConnectionRow = Selectable<ConnectionsTable>

/** A participant's consent for one event, under the organizer's connection of it. */
export interface SignInsTable extends GrantColumns {
  /** Ours, because Revento's answer may not say who signed in. */
  id: string
  /** Revento's id of the participant; null where Revento gave none. */
  user_id: string | null
  /** The `connected_at` of the organizer's consent under which it was given. */
  under: number
  /** The recent requests, as in `api_budgets`. */
  budget: string | null
}

/** The session of a browser in which a participant signed in. */
export interface SignInSessionsTable {
  id_hash: string
  sign_in: string
  created_at: number
  expires_at: number
}

export type RefreshPhase = 'idle' | 'sent'
export type RefreshFailure = 'upstream_error' | 'upstream_timeout' | 'configuration_error'

export interface SessionsTable {
  id_hash: string
  created_at: number
  expires_at: number
  /** The session that replaced this one; only for a minute. */
  successor: Generated<string | null>
  /** The platform of its connections: for the other platform the session does not exist. */
  platform: Generated<Platform>
}

export interface SessionConnectionsTable {
  session_hash: string
  event_id: string
  organization_id: string
}

export type DeliveryState = 'pending' | 'running' | 'done' | 'ignored' | 'duplicate' | 'parked' | 'dead'

/** A webhook as it came. Nothing changes it but what removes its body. */
export interface DeliveriesTable {
  id: Generated<number>
  provider: string
  platform: Platform
  delivery_id: string | null
  envelope_id: string
  type: string
  event_id: string | null
  organization_id: string | null
  received_at: number
  /** The trace and the span of its request, where one was recorded: `TRACE-SPAN`. */
  trace_id: Generated<string | null>
  /** A few headers of its request, as JSON; see webhooks/kept-headers. */
  headers: Generated<string | null>
  /** The raw bytes as signed; null for duplicates and after deletion. */
  body: Uint8Array | null
}

/** What became of the delivery with this id: a narrow row, since each claim and each end writes it anew. */
export interface OutcomesTable {
  id: number
  /** Copies of the delivery's columns, for the indexes. */
  platform: Platform
  event_id: string | null
  organization_id: string | null
  state: DeliveryState
  attempts: number
  /** How many claims ended with their lease, because their process ended before the run did. */
  crashes: Generated<number>
  /** When the delivery may be claimed: 0 when new, later the time of a retry or the end of the claim's lease. */
  next_at: number
  lease_owner: string | null
  /** When a first run began that ended well, made no calls and is the last one: it has no row in `attempts`. */
  started_at: number | null
  finished_at: number | null
  last_error: string | null
  duplicate_of: number | null
  /** When it was last replayed. */
  asked_at: number | null
}

/** Never has a row: see migration 060. */
export interface RefusedInsertsTable {
  id: number
}

/** A view, for reading, that has both tables in one row. */
export type InboxView = Omit<Selectable<DeliveriesTable & OutcomesTable>, 'asked_at' | 'started_at'>

/** The delivery that came first under a key (see webhooks/inbox/dedupe); removed together with that delivery. */
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

/**
 * One run of a handler; the view `runs` adds what `outcomes` says of only runs. `ended_at` is null where the process ended
 * first; `calls` is JSON, see revento/request.
 */
export interface AttemptsTable {
  inbox_id: number
  started_at: number
  ended_at: number | null
  attempt: number
  outcome: AttemptOutcome
  error: string | null
  calls: string | null
}

/** The result of an effect that a handler named; see builder/once. `result` is JSON, null for none. */
export interface EffectsTable {
  inbox_id: number
  name: string
  attempt: number
  started_at: number
  ended_at: number
  result: string | null
}

/**
 * A participant, as Revento's list and its webhooks say. `*_at` in text is a moment of Revento's (ISO 8601 UTC, '' where
 * a webhook gave none): of a fact in an event, or of the page that had it. `*_delivery` is the delivery that brought the
 * fact; a page has the first number after the consent under which it was read.
 */
export interface ParticipantsTable {
  platform: Platform
  event_id: string
  /** Empty where the webhook named no organization. */
  organization_id: string
  participant_id: string
  name: string | null
  name_at: string | null
  name_delivery: number | null
  application_status: string | null
  status_at: string | null
  status_delivery: number | null
  /** Revento's row as JSON, as it was listed or as a later webhook gave it; null where only an application is known. */
  data: Generated<string | null>
  data_at: Generated<string | null>
  data_delivery: Generated<number | null>
  /** Documented members of `data`. */
  role: Generated<string | null>
  last_reviewed_at: Generated<string | null>
  last_reviewer_id: Generated<string | null>
  last_review_action: Generated<string | null>
  /** About the newest webhook; all three are empty where none came. */
  last_type: string
  occurred_at: string
  last_delivery: number
  first_seen_at: Generated<number>
  /** The moment of the last page that had them, and the run that read it. */
  listed_at: Generated<string | null>
  seen_run: Generated<number>
  /** The last pass of that run that had them. */
  seen_pass: Generated<number>
  /** Since when a complete run missed them; a newer webhook or page makes it null again. */
  gone_at: Generated<string | null>
  updated_at: number
}

export type ParticipantRecord = Selectable<ParticipantsTable>

/** An activity of an event's program, as Revento's list says; the columns mean what those of a participant do. */
export interface ActivitiesTable {
  platform: Platform
  event_id: string
  organization_id: string
  activity_id: string
  /** The documented member of `data`. */
  status: string | null
  data: string
  data_delivery: number
  first_seen_at: number
  listed_at: string
  seen_run: number
  seen_pass: number
  gone_at: string | null
  updated_at: number
}

export type ActivityRecord = Selectable<ActivitiesTable>

/** An order to erase what is stored for one (platform, event, organization); see storage/erasures. */
export interface ErasuresTable {
  platform: Platform
  event_id: string
  /** Empty where the ending named no organization. */
  organization_id: string
  erased_at: number
  /** The last delivery to erase: without limit, until the organizer consents again. */
  through: number
  /** The last delivery that is erased. */
  swept: number
  /** The delivery that asked for it, and the last one for which the builder's `erase` has done its part. */
  ending: Generated<number>
  own_done: Generated<number>
}

export interface HealthTable {
  id: number
  checked_at: number
}

/** Every key that ever sealed something here. Rows stay, so that a missing key is not taken for a damaged value. */
export interface SealingKeysTable {
  /** In hex, as it stands in each sealed value. */
  key_id: string
  /** The key with the highest generation is in use; 0 is a key that was only ever the previous one. */
  generation: number
  /** Sealed; null while generation is 0. */
  check_value: Uint8Array | null
}

/** A request that its handler answers; see webhooks/inline/answers. */
export interface InlineAnswersTable {
  key: string
  /** The answer's status; null while a process with a lease makes the answer. */
  status: number | null
  body: string | null
  inbox_id: number | null
  event_id: string | null
  lease_owner: string | null
  lease_until: number
  /** When it was claimed, and later when it was answered. */
  updated_at: number
}

export interface HandshakeCallersTable {
  address: string
  registered_at: number
}

/** A running process and its keys; see keys/key-instances. */
export interface KeyInstancesTable {
  instance: string
  /** The ids of its keys, with a space between. */
  keys: string
  /** Grows while the process runs. */
  beats: number
}

/** When a secret or key was last used, as current or previous; see keys/meter. */
export interface KeyUsesTable {
  variable: string
  /** Distinguishes this key from earlier and later ones; see `fingerprints` in keys/sealing. */
  fingerprint: string
  /** When counting began. */
  since: number
  /** 0 where it was not used since then. */
  last_used_at: number
}

/** The recent requests of a connection; `budget` is JSON, see revento/budget. */
export interface ApiBudgetsTable {
  platform: 'sandbox' | 'real'
  event_id: string
  organization_id: string
  budget: string
}

/** A kind of answer of Revento that was seen, or a difference from what is expected; see storage/drift. */
export interface PlatformDriftTable {
  platform: Platform
  /** A hash of the expectations that it was compared with. */
  contract: string
  said: string
}

/** The builder's jobs. A job with a lease is running; see builder/jobs. */
export interface JobsTable {
  platform: Platform
  name: string
  /** Each claim adds one. */
  fence: number
  lease_owner: string | null
  lease_until: number
  /** These four are about the last run. */
  started_at: number | null
  finished_at: number | null
  outcome: 'done' | 'failed' | 'missed' | null
  last_error: string | null
  runs: number
  failed: number
  missed: number
}

export type SyncReason = 'connected' | 'scheduled' | 'outage' | 'asked' | 'command'

/** One comparison of a connection's list with Revento's; see sync/runs. */
export interface SyncRunsTable {
  id: Generated<number>
  platform: Platform
  event_id: string
  organization_id: string
  list: 'participants' | 'activities'
  reason: SyncReason
  /** The connection's `connected_at`: a run ends with the consent under which it began. */
  connected_at: number
  /** 0 where handlers do not hear of what it finds, because nothing was stored before. */
  tells: number
  created_at: number
  started_at: Generated<number | null>
  /** Null while the run is open; a connection's list has one open run at most. */
  finished_at: Generated<number | null>
  outcome: Generated<'done' | 'failed' | 'stopped' | null>
  /** The code of why it failed or stopped. */
  problem: Generated<string | null>
  phase: 'list' | 'confirm' | 'judge'
  cursor: Generated<string | null>
  /** How often the list was read from its beginning, this time included. */
  pass: Generated<number>
  pages: Generated<number>
  counted: Generated<number>
  added: Generated<number>
  changed: Generated<number>
  removed: Generated<number>
  restarts: Generated<number>
  /** Revento's moment when it began, and when the present pass did. */
  fresh_at: Generated<string | null>
  pass_at: Generated<string | null>
  waits_for: Generated<string | null>
  waits_until: Generated<number | null>
  /** Each claim adds one. */
  fence: Generated<number>
  lease_owner: Generated<string | null>
  lease_until: Generated<number>
}

/** The session of an operator's browser. `token_mark` says under which OPERATOR_TOKEN it began: another one ends it. */
export interface OperatorSessionsTable {
  id_hash: string
  token_mark: string
  created_at: number
  expires_at: number
}

/** How often something happened in a minute, counted by all processes together; see operator/rollups. */
export interface RollupsTable {
  platform: Platform
  minute_at: number
  name: string
  n: number
}

/** A replay of all deliveries that a filter finds, up to the newest when it was asked for; see operator/replays. */
export interface ReplaysTable {
  id: Generated<number>
  platform: Platform
  /** JSON, see operator/filter. */
  filter: string
  state: 'running' | 'done' | 'stopped'
  /** How many deliveries the filter found. */
  total: number
  replayed: number
  /** Deliveries up to this one have had their turn. */
  last_id: number
  through_id: number
  created_at: number
  stepped_at: number
}

/** An operator had a finished delivery run again. `anew` is 1 where its finished `once` steps run again, too. */
export interface RerunsTable {
  inbox_id: number
  asked_at: number
  anew: number
}
