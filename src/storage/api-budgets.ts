import { type Budget, type Budgets, UNUSED } from '../revento/budget.ts'
import type { Queries } from './database.ts'
import { isOf } from './erasures.ts'
import { isPostgres, lock, transaction } from './sql.ts'

export function createBudgets(query: Queries, platform: 'sandbox' | 'real'): Budgets {
  return {
    change: (key, work) =>
      transaction(query, async trx => {
        if ('signIn' in key) return changeOfSignIn(trx, key.signIn, work)
        const { eventId, organizationId } = key
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

/** The budget of a sign-in stands in its row, and goes with it. */
async function changeOfSignIn<T extends { readonly budget: Budget }>(
  trx: Queries,
  id: string,
  work: (budget: Budget) => T,
): Promise<T> {
  const row = await trx
    .selectFrom('sign_ins')
    .select('budget')
    .where('id', '=', id)
    .$if(isPostgres(trx), select => select.forUpdate())
    .executeTakeFirst()
  const result = work(row?.budget ? (JSON.parse(row.budget) as Budget) : UNUSED)
  await trx
    .updateTable('sign_ins')
    .set({ budget: JSON.stringify(result.budget) })
    .where('id', '=', id)
    .execute()
  return result
}
