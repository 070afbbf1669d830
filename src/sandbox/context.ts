import type { Clock } from './clock.ts'
import type { Faults } from './faults/faults.ts'
import type { TokenRequests } from './oauth/tokens.ts'
import type { SandboxOptions } from './options.ts'
import type { State } from './state.ts'
import type { Deliveries } from './webhooks/deliveries.ts'

/** What every route of the sandbox works with. */
export interface Context {
  readonly options: SandboxOptions
  readonly state: State
  /** To be called after each change of `state` that must outlive the process. */
  readonly save: () => void
  readonly clock: Clock
  readonly faults: Faults
  readonly deliveries: Deliveries
  readonly tokenRequests: TokenRequests
}
