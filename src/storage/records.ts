import { type RawBuilder, sql } from 'kysely'
import { storableJson } from './storable.ts'

/**
 * Many rows as one parameter: however many there are, the statement's text is the same, so that it is compiled once.
 * Stands in a FROM clause; its columns are `text` and `integer`. Both databases have a json_each with `key` and
 * `value`; PostgreSQL's takes an object only, so the rows are the members of one, in their order.
 */
export const records = (rows: readonly object[]) => sql`json_each(${storableJson({ ...rows })}) as r`

export const text = (column: string): RawBuilder<string> => sql`r.value ->> ${sql.lit(column)}`

export const integer = (column: string): RawBuilder<number> =>
  sql`cast(r.value ->> ${sql.lit(column)} as bigint)`

/** For `where('id', 'in', …)`. */
export const ids = (list: readonly number[]): RawBuilder<number> =>
  sql`(select cast(r.key as bigint) from json_each(${JSON.stringify(Object.fromEntries(list.map(id => [id, 0])))}) as r)`

/** Deliveries that a handler still has to see. Written out: a partial index is not used for values bound later. */
export const isOpen = sql<boolean>`inbox.state in ('pending', 'running')`
