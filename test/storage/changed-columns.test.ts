import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { testDatabase } from '../helpers/database.ts'

test('a statement that was run before finds the columns that a table has since', async () => {
  const { query } = await testDatabase()
  await sql`create table changing (a text, b text)`.execute(query)
  await sql`insert into changing values ('one', 'two')`.execute(query)
  const all = async () => (await sql`select * from changing`.execute(query)).rows
  const named = async () => (await sql`select b, a from changing`.execute(query)).rows
  expect([await all(), await named()]).toEqual([[{ a: 'one', b: 'two' }], [{ b: 'two', a: 'one' }]])
  await sql`drop table changing`.execute(query)
  await sql`create table changing (c text, b text, a text)`.execute(query)
  await sql`insert into changing values ('three', 'two', 'one')`.execute(query)
  expect([await all(), await named()]).toEqual([
    [{ c: 'three', b: 'two', a: 'one' }],
    [{ b: 'two', a: 'one' }],
  ])
})
