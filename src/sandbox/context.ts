import type { Clock } from './clock.ts'
import type { Faults } from './faults/faults.ts'
import type { TokenRequests } from './oauth/tokens.ts'
import type { SandboxOptions } from './options.ts'
import type { State } from './state.ts'
import type { Deliveries } from './webhooks/deliveries.ts'

/** The parts that the routes of the sandbox work with. */
export interface Context {
  readonly options: SandboxOptions
  readonly state: State
  /** Writes `state` to its file; called after each change that must outlive the process. */
  readonly save: () => void
  readonly clock: Clock
  readonly faults: Faults
  readonly deliveries: Deliveries
  readonly tokenRequests: TokenRequests
}
