import { sql } from 'kysely'

/**
 * Deliveries that wait for their handler or are in it. Word for word the condition of the index inbox_due: for states
 * that it is told only when the statement runs, SQLite reads the whole inbox instead.
 */
export const isOpen = sql<boolean>`inbox.state in ('pending', 'running')`
