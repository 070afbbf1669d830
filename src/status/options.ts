import type { Config } from '../config/settings.ts'
import type { KeyState } from '../keys/verdict.ts'
import type { OAuth } from '../oauth/index.ts'
import type { Runtime } from '../process/runtime.ts'
import type { Sync } from '../sync/index.ts'
import type { Deliveries, DeliveryView } from '../webhooks/inbox/deliveries.ts'
import type { Drawn } from './page/drawn.ts' // part: page

/** What this room needs of others. */
export interface StatusParts {
  readonly oauth: Pick<OAuth, 'sessions' | 'connections' | 'api'>
  readonly deliveries: Deliveries
  readonly sync: Sync
  /** Returns the secrets and keys that have a previous one. */
  readonly keyChanges: () => Promise<readonly KeyState[]>
  /** Tries to store something, and returns the code of why it cannot. */
  readonly trouble: () => Promise<string | undefined>
}

/** What its routes get. */
export interface StatusOptions
  extends Omit<StatusParts, 'oauth'>,
    Pick<OAuth, 'sessions' | 'connections' | 'api'>,
    Pick<Config, 'appName' | 'origin' | 'production' | 'defaultEventId'> {
  readonly sandbox: { url: string } | undefined
  readonly runtime: Runtime
  readonly page: Drawn // part: page
}

/** The deliveries of several grants in one list, the newest first. */
export const inOrder = (deliveries: readonly DeliveryView[][]): DeliveryView[] =>
  deliveries.flat().toSorted((a, b) => Number(b.id) - Number(a.id))
