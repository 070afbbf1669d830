import type { Budget } from './budget.ts'

/** Whose budget a call uses. */
export interface ApiConnection {
  readonly eventId: string
  readonly organizationId: string
}

/**
 * The budgets of all connections, one row each, so that every process on the database spends the same. Revento counts
 * by token; a connection has one token at a time, and its next one goes on where the last one stood.
 */
export interface Budgets {
  /**
   * Replaces a connection's budget by what `work` makes of it, with nobody else in between. `work` may run again where
   * the database kept nothing of it.
   */
  change<T extends { readonly budget: Budget }>(
    connection: ApiConnection,
    work: (budget: Budget) => T,
  ): Promise<T>
}
