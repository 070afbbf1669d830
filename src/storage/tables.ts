import type { Schema } from './schema.ts'

/** Every table of ours, in the order in which they are copied: those that others refer to come first. */
const TABLES: Record<Exclude<keyof Schema, 'inbox' | 'runs'>, true> = {
  flows: true,
  connections: true,
  sign_ins: true,
  sign_in_sessions: true,
  sessions: true,
  session_connections: true,
  deliveries: true,
  outcomes: true,
  refused_inserts: true,
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
  platform_drift: true,
  sync_runs: true,
  activities: true,
  operator_sessions: true,
  rollups: true,
  replays: true,
  reruns: true,
}
export const OUR_TABLES = Object.keys(TABLES) as readonly (keyof typeof TABLES)[]

/** The tables, and the views over them. */
export const OUR_NAMES: readonly string[] = [...OUR_TABLES, 'inbox', 'runs']

/** The names of all that the builder's migrations make begin with this, so that no later table of ours has the same name. */
export const OWN_PREFIX = 'app_'
export const isOwn = (name: string): boolean => name.startsWith(OWN_PREFIX)
