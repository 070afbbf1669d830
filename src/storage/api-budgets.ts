import { type Budget, type Budgets, UNUSED } from '../revento/budget.ts'
import type { Queries } from './database.ts'
import { isOf } from './erasures.ts'
import { lock, transaction } from './sql.ts'

export function createBudgets(query: Queries, platform: 'sandbox' | 'real'): Budgets {
  return {
    change: ({ eventId, organizationId }, work) =>
      transaction(query, async trx => {
        const owner = { platform, event_id: eventId, organization_id: organizationId }
        await lock(trx, `api budget ${platform} ${eventId} ${organizationId}`)
        const row = await trx.selectFrom('api_budgets').select('budget').where(isOf(owner)).executeTakeFirst()
        const result = work(row ? (JSON.parse(row.budget) as Budget) : UNUSED)
        const budget = JSON.stringify(result.budget)
        await trx
          .insertInto('api_budgets')
          .values({ ...owner, budget })
          .onConflict(c => c.columns(['platform', 'event_id', 'organization_id']).doUpdateSet({ budget }))
          .execute()
        return result
      }),
  }
}
