import type { KeyState } from '../keys/verdict.ts'
import type { Connections } from '../oauth/connections.ts'
import type { Grant } from '../oauth/entitlement.ts'
import type { Sessions } from '../oauth/sessions.ts'
import type { Runtime } from '../process/runtime.ts'
import type { EventApi } from '../revento/api.ts'
import type { ParticipantsTable } from '../storage/schema.ts'
import type { Deliveries } from '../webhooks/inbox/deliveries.ts'
import type { Titles } from './titles.ts'

/** What the routes of the organizer's page work with. */
export interface StatusOptions {
  readonly origin: string
  readonly production: boolean
  readonly sandbox: { url: string } | undefined
  readonly defaultEventId: string | undefined
  readonly requestedScopes: readonly string[]
  readonly sessions: Sessions
  readonly connections: Connections
  readonly deliveries: Deliveries
  /** What webhooks have told of the participants. */
  readonly heard: (grant: Grant) => Promise<ParticipantsTable[]>
  readonly api: (grant: Grant, requestId: string) => EventApi
  readonly titles: Titles
  /** Secrets and keys of the app that have a previous one. */
  readonly keyChanges: () => Promise<readonly KeyState[]>
  /** Tries to store; answers why it cannot. */
  readonly trouble: () => Promise<string | undefined>
  readonly runtime: Runtime
}
