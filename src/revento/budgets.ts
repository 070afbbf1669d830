import type { Queries } from '../storage/database.ts'
import { alone } from '../storage/dialect.ts'
import { transaction } from '../storage/transaction.ts'
import { type Budget, UNUSED } from './budget.ts'

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

export function createBudgets(query: Queries, platform: 'sandbox' | 'real'): Budgets {
  return {
    change: ({ eventId, organizationId }, work) =>
      transaction(query, async trx => {
        await alone(trx, `api budget ${platform} ${eventId} ${organizationId}`)
        const row = await trx
          .selectFrom('api_budgets')
          .select('budget')
          .where('platform', '=', platform)
          .where('event_id', '=', eventId)
          .where('organization_id', '=', organizationId)
          .executeTakeFirst()
        const result = work(row ? (JSON.parse(row.budget) as Budget) : UNUSED)
        const budget = JSON.stringify(result.budget)
        await trx
          .insertInto('api_budgets')
          .values({ platform, event_id: eventId, organization_id: organizationId, budget })
          .onConflict(c => c.columns(['platform', 'event_id', 'organization_id']).doUpdateSet({ budget }))
          .execute()
        return result
      }),
  }
}
