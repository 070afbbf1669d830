import type { Kysely } from 'kysely'
import type { Tables } from '../integration/tables.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform } from '../storage/schema.ts'
import { createGuard } from './guard.ts'

/** Of our tables, what stays under these names; to be read, not written. */
export interface Views {
  revento_participants: ParticipantsView
  revento_connections: ConnectionsView
}

/** What Revento's webhooks said of a participant. */
export interface ParticipantsView {
  platform: Platform
  event_id: string
  /** '' where the webhook named none. */
  organization_id: string
  participant_id: string
  name: string | null
  application_status: string | null
  /** Of the newest webhook; its time as ISO 8601, '' where it had none. */
  last_type: string
  occurred_at: string
  /** In ms since 1970. */
  updated_at: number
}

/** An organizer's connection, without its tokens. */
export interface ConnectionsView {
  platform: Platform
  event_id: string
  organization_id: string
  state: 'connected' | 'reconsent' | 'revoked' | 'suspended' | 'deleted'
  reason: string | null
  /** With one space between. */
  scope: string
  /** In ms since 1970. */
  connected_at: number
  updated_at: number
}

/** The database as the builder's code sees it. */
export type Db = Kysely<Views & Tables>

/** Once the signal has fired nothing is read or written with it: a handler that goes on after its end leaves nothing behind. */
export const ownDb = (query: Queries, signal?: AbortSignal): Db =>
  query.withPlugin(createGuard(signal)) as unknown as Db
