import { describe, expect, test } from 'vitest'
import { keyIdOf } from '../../src/keys/sealing.ts'
import { StorageError } from '../../src/process/errors.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { testDatabase } from '../helpers/database.ts'
import {
  connectionsOf,
  idOf,
  logLines,
  recordKeys,
  saveConnections,
  sealerOf,
  tokenSet,
} from '../helpers/sealed.ts'

const old = sealerOf(1)
const rotated = sealerOf(2, 1)

/** evt_1 … evt_3, sealed with the old key. */
async function stored() {
  const { query } = await testDatabase()
  await recordKeys(query, old, runtime)
  await saveConnections(query, old, 3)
  const row = (n: number) =>
    query.selectFrom('connections').selectAll().where('event_id', '=', `evt_${n}`).executeTakeFirstOrThrow()
  const set = (n: number, values: Record<string, Uint8Array | null | string>) =>
    query.updateTable('connections').set(values).where('event_id', '=', `evt_${n}`).execute()
  return { query, row, set }
}

const opened = (n: number) => ({ accessToken: `access_${n}`, refreshToken: `refresh_${n}`, version: 1 })

const flip = (bytes: Uint8Array | null, at: number) => {
  const damaged = Buffer.from(bytes ?? [])
  damaged[at] = (damaged[at] ?? 0) ^ 1
  return damaged
}

type Stored = Awaited<ReturnType<typeof stored>>
const DAMAGES: [string, string, (s: Stored) => Promise<unknown>][] = [
  [
    'one bit of the access token',
    'damaged',
    async s => s.set(1, { access_token: flip((await s.row(1)).access_token, 40) }),
  ],
  [
    'one bit of the refresh token',
    'damaged',
    async s => s.set(1, { refresh_token: flip((await s.row(1)).refresh_token, 20) }),
  ],
  [
    'the id of its key',
    'unknown_key',
    async s => s.set(1, { access_token: flip((await s.row(1)).access_token, 2) }),
  ],
  [
    'the format',
    'unknown_key',
    async s => s.set(1, { access_token: flip((await s.row(1)).access_token, 0) }),
  ],
  [
    'a cut',
    'damaged',
    async s => s.set(1, { refresh_token: Buffer.from((await s.row(1)).refresh_token ?? []).subarray(0, 30) }),
  ],
  [
    'the other token of its row',
    'damaged',
    async s => s.set(1, { access_token: (await s.row(1)).refresh_token }),
  ],
  [
    'another connection’s tokens',
    'damaged',
    async s => {
      const { access_token, refresh_token } = await s.row(2)
      await s.set(1, { access_token, refresh_token })
    },
  ],
]

describe('damaged or swapped tokens', () => {
  test.each(DAMAGES)(
    '%s: that connection waits for a new consent, the others go on',
    async (_, detail, damage) => {
      const store = await stored()
      await damage(store)
      const { lines, log } = logLines()
      const connections = connectionsOf(store.query, old, log)
      expect(await connections.open(idOf(1))).toBeUndefined()
      expect(await store.row(1)).toMatchObject({
        state: 'reconsent',
        reason: 'sealed_value_damaged',
        access_token: null,
        refresh_token: null,
        version: 2,
      })
      expect(await connections.open(idOf(1))).toBeUndefined()
      expect(await connections.open(idOf(2))).toEqual(opened(2))
      expect(await connections.open(idOf(3))).toEqual(opened(3))
      expect(lines).toEqual([
        { level: 'error', message: expect.any(String), part: 'oauth', event_id: 'evt_1', detail },
      ])
    },
  )

  test('a new consent brings a connection with damaged tokens back', async () => {
    const { query, set } = await stored()
    await set(1, { access_token: Buffer.from('no') })
    const connections = connectionsOf(query, old)
    await connections.open(idOf(1))
    await connections.save(tokenSet(1))
    expect(await connections.open(idOf(1))).toEqual({ ...opened(1), version: 3 })
  })

  test('a writer that is first wins: the tokens it stored are neither ended nor logged', async () => {
    const { query, set } = await stored()
    await set(1, { access_token: Buffer.from('no') })
    const { lines, log } = logLines()
    // Reading the keys is what comes between reading the row and ending it.
    const late = new Proxy(query, {
      get(target, name: keyof typeof query) {
        if (name !== 'selectFrom')
          return typeof target[name] === 'function' ? target[name].bind(target) : target[name]
        return (table: 'sealing_keys' | 'connections') =>
          table !== 'sealing_keys'
            ? target.selectFrom(table)
            : {
                select: () => ({
                  where: () => ({
                    execute: () =>
                      connectionsOf(query, old)
                        .save(tokenSet(1, 'new', 'newer'))
                        .then(() => []),
                  }),
                }),
              }
      },
    })
    expect(await connectionsOf(late, old, log).open(idOf(1))).toEqual({
      accessToken: 'new',
      refreshToken: 'newer',
      version: 2,
    })
    expect(lines).toEqual([])
  })
})

describe('tokens under a key of this database that this process was not given', () => {
  test('tokens under a key that this process was not given are not taken for damaged: an error, and they stay', async () => {
    const { query, row } = await stored()
    await recordKeys(query, rotated, runtime)
    await connectionsOf(query, rotated).save(tokenSet(1))
    const before = await row(1)
    const opening = connectionsOf(query, old).open(idOf(1))
    await expect(opening).rejects.toMatchObject({ name: 'UnsealError', code: 'unknown_key' })
    expect(await row(1)).toEqual(before)
    expect(await connectionsOf(query, old).open(idOf(2))).toEqual(opened(2))
  })
})

describe('tokens under the previous key', () => {
  test('tokens under the previous key are sealed with the current one when they are opened, at the same version', async () => {
    const { query, row } = await stored()
    const before = await row(1)
    expect(await connectionsOf(query, rotated).open(idOf(1))).toEqual(opened(1))
    const after = await row(1)
    expect([after.access_token, after.refresh_token].map(value => keyIdOf(value ?? Buffer.of()))).toEqual([
      rotated.keys[0],
      rotated.keys[0],
    ])
    expect({ ...after, access_token: 0, refresh_token: 0 }).toEqual({
      ...before,
      access_token: 0,
      refresh_token: 0,
    })
    expect(await connectionsOf(query, sealerOf(2)).open(idOf(1))).toEqual(opened(1))
  })

  test('a refresh that was under way is stored all the same', async () => {
    const { query } = await stored()
    const connections = connectionsOf(query, rotated)
    const store = await connectionsOf(query, rotated).refreshing(idOf(1), 1)
    await connections.open(idOf(1))
    expect(await store(tokenSet(1, 'a2', 'r2'))).toBe(true)
    expect(await connections.open(idOf(1))).toEqual({ accessToken: 'a2', refreshToken: 'r2', version: 2 })
  })

  test('tokens under the current key are left alone', async () => {
    const { query, row } = await stored()
    const before = await row(1)
    await connectionsOf(query, old).open(idOf(1))
    expect(await row(1)).toEqual(before)
  })

  test('tokens under the previous key are given also while nothing can be written', async () => {
    const { query } = await stored()
    const full = new Proxy(query, {
      get(target, name: keyof typeof query) {
        if (name === 'updateTable')
          return () => {
            throw new StorageError('disk_full')
          }
        return typeof target[name] === 'function' ? target[name].bind(target) : target[name]
      },
    })
    const { lines, log } = logLines()
    expect(await connectionsOf(full, rotated, log).open(idOf(1))).toEqual(opened(1))
    expect(lines).toMatchObject([{ level: 'warn', event_id: 'evt_1' }])
  })
})
