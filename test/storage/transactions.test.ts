import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import type { Queries } from '../../src/storage/database.ts'
import { transaction } from '../../src/storage/sql.ts'
import { type TestFile, testFile } from '../helpers/database.ts'

const write = (database: Pick<TestFile, 'query'>, id: number, at = 0) =>
  database.query.insertInto('health').values({ id, checked_at: at }).execute()
const ids = async ({ query }: TestFile) =>
  (await query.selectFrom('health').select('id').orderBy('id').execute()).map(row => row.id)
const failure = new Error('on purpose')

describe('all or nothing', () => {
  test('a transaction that throws leaves nothing', async () => {
    const database = await testFile()
    const work = database.query.transaction().execute(async trx => {
      await write({ query: trx }, 1)
      throw failure
    })
    await expect(work).rejects.toBe(failure)
    expect(await ids(database)).toEqual([])
  })

  test('a transaction whose statement violates a constraint leaves nothing, and the next one works', async () => {
    const database = await testFile()
    const work = database.query.transaction().execute(async trx => {
      await write({ query: trx }, 1)
      await write({ query: trx }, 1)
    })
    await expect(work).rejects.toMatchObject({ errcode: 1555 })
    await write(database, 2)
    expect(await ids(database)).toEqual([2])
  })

  test('exclusive work that throws leaves nothing, and the next one works', async () => {
    const database = await testFile()
    const insert = (id: number) =>
      database.exclusively(file => file.prepare('insert into health values (?, 0)').run(id))
    const work = database.exclusively(file => {
      file.prepare('insert into health values (1, 0)').run()
      throw failure
    })
    await expect(work).rejects.toBe(failure)
    await insert(2)
    expect(await ids(database)).toEqual([2])
  })
})

describe('nobody joins another’s transaction', () => {
  test('a statement issued during a transaction waits for its end, and survives its rollback', async () => {
    const database = await testFile()
    const order: string[] = []
    let outside: Promise<unknown> = Promise.resolve()
    const inside = database.query.transaction().execute(async trx => {
      await write({ query: trx }, 1)
      outside = write(database, 2).then(() => order.push('outside'))
      for (let i = 0; i < 20; i++) await new Promise(setImmediate)
      order.push('rollback')
      throw failure
    })
    await expect(inside).rejects.toBe(failure)
    await outside
    expect(order).toEqual(['rollback', 'outside'])
    expect(await ids(database)).toEqual([2])
  })

  test('exclusive work issued during a transaction waits for its end, and survives its rollback', async () => {
    const database = await testFile()
    let outside: Promise<unknown> = Promise.resolve()
    const inside = database.query.transaction().execute(async trx => {
      await write({ query: trx }, 1)
      outside = database.exclusively(file => {
        file.prepare('insert into health values (2, 0)').run()
      })
      for (let i = 0; i < 20; i++) await new Promise(setImmediate)
      throw failure
    })
    await expect(inside).rejects.toBe(failure)
    await outside
    expect(await ids(database)).toEqual([2])
  })

  test('a hundred writers of all three kinds, every third rolled back: exactly the others are there', async () => {
    const database = await testFile()
    const kinds = [
      (id: number) => write(database, id),
      (id: number) =>
        database.exclusively(file => {
          file.prepare('insert into health values (?, 0)').run(id)
        }),
      (id: number) =>
        database.query.transaction().execute(async trx => {
          await write({ query: trx }, id)
          await new Promise(setImmediate)
          throw failure
        }),
    ]
    await Promise.allSettled(Array.from({ length: 100 }, (_, i) => kinds[i % 3]?.(i)))
    expect(await ids(database)).toEqual(Array.from({ length: 100 }, (_, i) => i).filter(i => i % 3 !== 2))
  })
})

test('a relaxed commit does not wait for the disk; the next transaction and the next statement do', async () => {
  const database = await testFile()
  const level = async (query: Queries) =>
    Object.values((await sql<object>`pragma synchronous`.execute(query)).rows[0] ?? {})[0]
  const [NORMAL, FULL] = [1, 2]
  const work = async (trx: Queries) => {
    await write({ query: trx }, await level(trx).then(Number))
    return level(trx)
  }
  expect(await transaction(database.query, work, { relaxed: true })).toBe(NORMAL)
  expect(await transaction(database.query, work)).toBe(FULL)
  expect(await transaction(database.query, level, { relaxed: true })).toBe(NORMAL)
  expect(await level(database.query)).toBe(FULL)
  expect(await ids(database)).toEqual([NORMAL, FULL])
})
