import type { Connections } from '../oauth/connections.ts'
import type { Grant } from '../oauth/entitlement.ts'
import type { Sessions } from '../oauth/sessions.ts'
import type { Runtime } from '../process/runtime.ts'
import type { EventApi } from '../revento/api.ts'
import type { Sync } from '../sync/index.ts'
import type { Deliveries, DeliveryView } from '../webhooks/inbox/deliveries.ts'
import type { Drawn } from './page/drawn.ts' // part: page

export interface StatusOptions {
  readonly origin: string
  readonly production: boolean
  readonly appName: string
  readonly sandbox: { url: string } | undefined
  readonly defaultEventId: string | undefined
  readonly sessions: Sessions
  readonly connections: Connections
  readonly deliveries: Deliveries
  readonly sync: Pick<Sync, 'ask'>
  readonly runtime: Pick<Runtime, 'now'>
  readonly api: (grant: Grant, requestId: string) => EventApi
  readonly page: Drawn // part: page
}

/** The deliveries of several grants in one list, the newest first. */
export const inOrder = (deliveries: readonly DeliveryView[][]): DeliveryView[] =>
  deliveries.flat().toSorted((a, b) => Number(b.id) - Number(a.id))
