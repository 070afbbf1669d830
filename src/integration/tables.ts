/**
 * The tables that your migrations make, for the types of `db`: one member each, named as in the database, with its
 * columns. For instance `export interface Tables { app_welcomes: { event_id: string; participant_id: string } }`
 */
export type Tables = Record<never, never>
