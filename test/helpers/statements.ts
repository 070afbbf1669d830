import type { CompiledQuery, KyselyPlugin, QueryResult } from 'kysely'
import type { Database, Queries, SqliteDatabase } from '../../src/storage/database.ts'
import type { SqliteFile } from '../../src/storage/sqlite/sqlite.ts'

/** Returns the same queries. `before` is called with each statement and may throw; `after` is called with its result. */
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

/** Called with each statement, and with the number of rows that it changed or returned. */
export type CountRows = (statement: string, rows: number) => void

/** Returns the same database, with each statement counted. Work that has the SQLite file to itself counts as one. */
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
