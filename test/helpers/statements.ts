import type { CompiledQuery, KyselyPlugin, QueryResult } from 'kysely'
import type { Queries } from '../../src/storage/database.ts'

/** The same queries; `before` sees each statement first, and may throw; `after` sees what came of it. */
export function onEachStatement(
  query: Queries,
  before: (statement: CompiledQuery) => void,
  after: (statement: CompiledQuery, result: QueryResult<unknown>) => void = () => {},
): Queries {
  const under = new WeakMap<object, CompiledQuery>()
  const plugin: KyselyPlugin = {
    transformQuery({ node, queryId }) {
      const statement = query.getExecutor().compileQuery(node, queryId)
      before(statement)
      under.set(queryId, statement)
      return node
    },
    async transformResult({ queryId, result }) {
      const statement = under.get(queryId)
      if (statement) after(statement, result)
      return result
    },
  }
  return query.withPlugin(plugin)
}
