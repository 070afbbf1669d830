import type { Schema } from './schema.ts'

/** Every table of ours, in the order in which they are copied: those that others refer to come first. */
const TABLES: Record<keyof Schema, true> = {
  flows: true,
  connections: true,
  sessions: true,
  session_connections: true,
  inbox: true,
  delivery_keys: true,
  attempts: true,
  effects: true,
  participants: true,
  erasures: true,
  sealing_keys: true,
  inline_answers: true,
  handshake_callers: true,
  key_uses: true,
  api_budgets: true,
  health: true,
  key_instances: true,
  jobs: true,
}
export const OUR_TABLES = Object.keys(TABLES) as readonly (keyof Schema)[]

/** How everything that the builder's migrations make is named: so no later table of ours can be called the same. */
export const OWN_PREFIX = 'app_'
export const isOwn = (name: string): boolean => name.startsWith(OWN_PREFIX)
