import { type RawBuilder, sql } from 'kysely'

/**
 * Many rows as one parameter: however many there are, the statement's text is the same, so that it is compiled once.
 * Stands in a FROM clause; its columns are `text` and `integer`.
 */
export const records = (rows: readonly object[]) => sql`json_each(${JSON.stringify(rows)}) as r`

export const text = (column: string): RawBuilder<string> => sql`r.value ->> ${sql.lit(column)}`

export const integer = (column: string): RawBuilder<number> =>
  sql`cast(r.value ->> ${sql.lit(column)} as bigint)`

/** For `where('id', 'in', …)`. */
export const ids = (list: readonly number[]): RawBuilder<number> =>
  sql`(select cast(r.value as bigint) from json_each(${JSON.stringify(list)}) as r)`

/** Deliveries that a handler still has to see. Written out: a partial index is not used for values bound later. */
export const isOpen = sql<boolean>`inbox.state in ('pending', 'running')`
