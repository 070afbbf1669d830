import type { CompiledQuery, KyselyPlugin, QueryResult } from 'kysely'
import type { Database, Queries, SqliteDatabase } from '../../src/storage/database.ts'
import type { SqliteFile } from '../../src/storage/sqlite/sqlite.ts'

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

/** Told of each statement, and of how many rows it changed or gave. */
export type CountRows = (statement: string, rows: number) => void

/** The same database, watched; what takes the SQLite file for itself counts as one statement. */
export function countingRows(database: Database, count: CountRows): Database {
  const query = onEachStatement(
    database.query,
    () => {},
    ({ sql }, { rows, numAffectedRows = 0n }) => count(sql, Math.max(rows.length, Number(numAffectedRows))),
  )
  if (database.kind === 'postgres') return { ...database, query }
  const changes = (file: SqliteFile) => Number(file.prepare('select total_changes() as n').get()?.['n'])
  const exclusively: SqliteDatabase['exclusively'] = work =>
    database.exclusively(file => {
      const before = changes(file)
      const result = work(file)
      count('exclusively', changes(file) - before)
      return result
    })
  return { ...database, query, exclusively }
}
