import { type Budgets, WINDOWS } from '../../src/revento/budget.ts'
import { createBudgets } from '../../src/storage/api-budgets.ts'
import { testDatabase } from './database.ts'

/** Returns Revento's limits and the budgets to count them with, in a database of this test's own. */
export async function testBudgets() {
  const budgets: Budgets = createBudgets((await testDatabase()).query, 'real')
  return { budgets, windows: WINDOWS }
}
