import { createClock } from './clock.ts'
import { createFaults } from './faults/faults.ts'
import { createTokenRequests } from './oauth/tokens.ts'
import type { SandboxOptions } from './options.ts'
import { loadState, saveState } from './state.ts'
import { createDeliveries } from './webhooks/deliveries.ts'

export type Context = ReturnType<typeof createContext>

/** The parts that the routes of the sandbox work with. */
export function createContext(options: SandboxOptions) {
  const { stateFile, log, runtime } = options
  const state = loadState(stateFile, log)
  /** Writes `state` to its file; called after each change that must outlive the process. */
  const save = () => saveState(stateFile, state, log)
  const clock = createClock(state, runtime)
  const faults = createFaults(runtime, log)
  const deliveries = createDeliveries({ options, state, faults, save })
  return { options, state, save, clock, faults, deliveries, tokenRequests: createTokenRequests() }
}
