import { type Budgets, WINDOWS } from '../../src/revento/budget.ts'
import { createBudgets } from '../../src/storage/api-budgets.ts'
import { testDatabase } from './database.ts'

/** What the API client counts with: Revento's limits, in a database of this test's own. */
export async function testBudgets() {
  const budgets: Budgets = createBudgets((await testDatabase()).query, 'real')
  return { budgets, windows: WINDOWS }
}
