import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openSealed, type SealingSettings } from '../../src/keys/open-sealed.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { tablesOf } from '../../src/storage/migrate.ts'
import { openDatabase, readDatabase } from '../../src/storage/open.ts'
import { testStore } from '../helpers/database.ts'
import { testFolder } from '../helpers/folder.ts'
import { forgetKeys, saveConnections, sealedStore, sealerOf, settings } from '../helpers/sealed.ts'

/** A database that was started with key 1 and holds this many connections. */
async function database(connections: number) {
  const { store } = await testStore()
  await sealedStore(store, 1, connections)
  const open = (current: number, previous?: number) => opens(settings(store, current, previous))
  return { store, open }
}

async function opens(o: SealingSettings): Promise<string> {
  try {
    const { database } = await openSealed(o, runtime)
    await database.close()
    return 'opened'
  } catch (error) {
    return error instanceof Error && error.name === 'SealingKeyError' ? error.message : String(error)
  }
}

const WRONG =
  /^ENCRYPTION_KEY is not the key of this database: .*ENCRYPTION_KEY_PREVIOUS.*\nNothing has been written\.$/

describe.each([
  ['with values', 2],
  ['with nothing sealed yet', 0],
])('a database %s', (_, connections) => {
  test('opens again with its key, and with a new one that has it as the previous one', async () => {
    const { open } = await database(connections)
    expect(await open(1)).toBe('opened')
    expect(await open(2, 1)).toBe('opened')
    expect(await open(1, 2)).toBe('opened')
  })

  test('refuses another key, whatever the previous one is', async () => {
    const { open } = await database(connections)
    expect(await open(2)).toMatch(WRONG)
    expect(await open(2, 3)).toMatch(WRONG)
    expect(await open(1)).toBe('opened')
  })

  test('after the change refuses the old key alone', async () => {
    const { open } = await database(connections)
    await open(2, 1)
    expect(await open(1)).toMatch(WRONG)
    expect(await open(1, 3)).toMatch(WRONG)
  })
})

test('the previous key is needed as long as values stand under it, and no longer', async () => {
  const full = await database(2)
  await full.open(2, 1)
  expect(await full.open(2)).toMatch(/4 values are sealed with key [0-9a-f]{8}/)
  const empty = await database(0)
  await empty.open(2, 1)
  expect(await empty.open(2)).toBe('opened')
  expect(await empty.open(3, 1)).toMatch(WRONG)
})

test('the message tells key ids, never a key', async () => {
  const { open } = await database(1)
  const message = await open(2, 3)
  expect(message).toContain([...sealerOf(2, 3).keys].join(' and '))
  for (const fill of [1, 2, 3])
    for (const form of ['base64', 'hex'] as const)
      expect(message).not.toContain(Buffer.alloc(32, fill).toString(form).slice(0, 9))
})

test('a second start that opened at the same moment with another key is refused', async () => {
  const { store } = await testStore()
  const results = await Promise.all([opens(settings(store, 1)), opens(settings(store, 2))])
  expect(results.filter(result => result === 'opened')).toHaveLength(1)
  expect(results.filter(result => WRONG.test(result))).toHaveLength(1)
})

test('a check value that does not open stops the start', async () => {
  const { store, open } = await database(0)
  const opened = await openDatabase(store, runtime)
  await opened.query
    .updateTable('sealing_keys')
    .set({ check_value: sealerOf(1).seal('x', { table: '', row: '', column: '' }) })
    .execute()
  await opened.close()
  expect(await open(1)).toMatch(/^ENCRYPTION_KEY does not open the check value/)
})

describe('a database from before the table of keys', () => {
  async function older(connections: number) {
    const made = await database(connections)
    const opened = await openDatabase(made.store, runtime)
    await forgetKeys(opened)
    await opened.close()
    return made
  }

  test('opens with its key, also as the previous one, and knows it from then on', async () => {
    for (const [current, previous] of [[1], [2, 1]] as const) {
      const { open } = await older(2)
      expect(await open(current, previous)).toBe('opened')
      expect(await open(3)).toMatch(WRONG)
      expect(await open(current, previous)).toBe('opened')
    }
  })

  test('that is opened with both keys at once still needs the old one afterwards', async () => {
    const { open } = await older(2)
    expect(await open(2, 1)).toBe('opened')
    expect(await open(2)).toMatch(WRONG)
  })

  test('refuses another key', async () => {
    const { store, open } = await older(2)
    const tables = async () => {
      const query = await readDatabase(store, runtime)
      const found = query && (await tablesOf(query))
      await query?.destroy()
      return found
    }
    const before = await tables()
    expect(await open(2)).toMatch(WRONG)
    expect(await tables()).toEqual(before)
    expect(before).not.toContain('sealing_keys')
  })

  test('after a change then needs both keys', async () => {
    const { store, open } = await older(2)
    const opened = await openDatabase(store, runtime)
    await saveConnections(opened.query, sealerOf(2), 1, 3)
    await forgetKeys(opened)
    await opened.close()
    expect(await open(2)).toMatch(WRONG)
    expect(await open(1)).toMatch(WRONG)
    expect(await open(2, 1)).toBe('opened')
  })

  test.each([2, 40])('one value damaged at byte %i does not stop the start', async at => {
    const { store, open } = await older(2)
    const opened = await openDatabase(store, runtime)
    const row = await opened.query.selectFrom('connections').selectAll().executeTakeFirstOrThrow()
    const access_token = Buffer.from(row.access_token ?? [])
    access_token[at] = (access_token[at] ?? 0) ^ 1
    await opened.query
      .updateTable('connections')
      .set({ access_token })
      .where('event_id', '=', row.event_id)
      .execute()
    await forgetKeys(opened)
    await opened.close()
    expect(await open(1)).toBe('opened')
  })

  test('with nothing sealed takes the key that is given', async () => {
    const { open } = await older(0)
    expect(await open(2)).toBe('opened')
    expect(await open(1)).toMatch(WRONG)
  })
})

describe('without ENCRYPTION_KEY', () => {
  test('a key file is made for a new database, and needed from then on', async () => {
    const { store } = await testStore()
    const keyFile = join(testFolder(), 'encryption.key')
    const o = { ...settings(store, 1), encryptionKey: undefined, keyFile }
    expect(await opens(o)).toBe('opened')
    expect(await opens(o)).toBe('opened')
    const elsewhere = { ...o, keyFile: `${keyFile}.other` }
    expect(await opens(elsewhere)).toMatch(/^ENCRYPTION_KEY is not set and the key file .* is gone/)
    expect(existsSync(elsewhere.keyFile)).toBe(false)
  })
})

test('an ordinary start writes nothing to the table of keys', async () => {
  const { store, open } = await database(1)
  const keys = async () => {
    const opened = await openDatabase(store, runtime)
    onTestFinished(() => opened.close())
    return opened.query.selectFrom('sealing_keys').selectAll().execute()
  }
  const before = await keys()
  await open(1)
  expect(await keys()).toEqual(before)
})
