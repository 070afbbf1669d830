import { describe, expect, test } from 'vitest'
import { reseal } from '../../src/keys/reseal.ts'
import { createSealedTokens } from '../../src/keys/sealed-tokens.ts'
import { type Sealer, verifierPlace } from '../../src/keys/sealing.ts'
import { countByKey } from '../../src/keys/sealing-keys.ts'
import { createSignIns } from '../../src/oauth/sign-ins.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import type { Queries } from '../../src/storage/database.ts'
import { testDatabase } from '../helpers/database.ts'
import {
  connectionsOf,
  idOf,
  logLines,
  recordKeys,
  saveConnections,
  saveFlow,
  sealerOf,
  tokenSet,
} from '../helpers/sealed.ts'

const old = sealerOf(1)
const rotated = sealerOf(2, 1)
const [oldKey] = old.keys
const [newKey] = rotated.keys

async function stored(connections: number) {
  const { query } = await testDatabase()
  await recordKeys(query, old, runtime)
  await saveConnections(query, old, connections)
  return query
}

function run(query: Queries, sealer = rotated) {
  const { lines, log } = logLines()
  const progress: number[] = []
  const o = { query, sealer, runtime, log, progress: (left: number) => void progress.push(left) }
  return reseal(o).then(left => ({ left: Object.fromEntries(left), lines, progress }))
}

const rows = (query: Queries) => query.selectFrom('connections').selectAll().orderBy('event_id').execute()
const counts = async (query: Queries) => Object.fromEntries(await countByKey(query, runtime))

test('every sealed column is under the current key afterwards, and opens with it alone', async () => {
  const query = await stored(3)
  await saveFlow(query, old, 'f1')
  const signIns = (sealer: Sealer) =>
    createSignIns(query, sealer, runtime, { log: logLines().log, platform: 'real' })
  const key = (await signIns(old).save({ ...tokenSet(1, 'of a user'), userId: 'usr_1' })) ?? expect.fail()
  expect(await counts(query)).toEqual({ [oldKey]: 9 })
  expect(await run(query)).toEqual({ left: {}, lines: [], progress: [] })
  expect(await counts(query)).toEqual({ [newKey]: 9 })
  expect(await signIns(sealerOf(2)).open(key)).toMatchObject({ accessToken: 'of a user' })
  for (const n of [1, 2, 3])
    expect(await connectionsOf(query, sealerOf(2)).open(idOf(n))).toMatchObject({
      accessToken: `access_${n}`,
      refreshToken: `refresh_${n}`,
    })
  const flow = await query.selectFrom('flows').selectAll().executeTakeFirstOrThrow()
  expect(sealerOf(2).open(flow.verifier ?? Buffer.of(), verifierPlace('f1'))).toBe('verifier of f1')
})

test('resealing covers every column of the schema that is a blob, apart from bodies and the check value', async () => {
  const { query } = await testDatabase()
  const blobs = (await query.introspection.getTables()).flatMap(table =>
    table.columns
      .filter(c => ['blob', 'bytea'].includes(c.dataType.toLowerCase()))
      .map(c => `${table.name}.${c.name}`),
  )
  expect(blobs.sort()).toEqual([
    'connections.access_token',
    'connections.refresh_token',
    'deliveries.body',
    'flows.verifier',
    'inbox.body',
    'sealing_keys.check_value',
    'sign_ins.access_token',
    'sign_ins.refresh_token',
  ])
})

test('resealing goes through more rows than a batch, with progress; a second run has nothing to do', async () => {
  const query = await stored(120)
  for (let n = 0; n < 60; n++) await saveFlow(query, old, `f${n}`)
  expect(await run(query)).toMatchObject({ left: {}, progress: [200, 100, 10] })
  const before = await rows(query)
  expect(await run(query)).toMatchObject({ left: {}, progress: [] })
  expect(await rows(query)).toEqual(before)
})

test('resealing changes nothing of a row but the sealed bytes: a refresh under way is still stored', async () => {
  const query = await stored(1)
  const store = await connectionsOf(query, rotated).refreshing(idOf(1), 1)
  const [before] = await rows(query)
  await run(query)
  const [after] = await rows(query)
  expect({ ...after, access_token: 0, refresh_token: 0 }).toEqual({
    ...before,
    access_token: 0,
    refresh_token: 0,
  })
  expect(await store(tokenSet(1, 'a2', 'r2'))).toBe(true)
})

test('a suspended connection keeps its tokens and its state, under the current key', async () => {
  const query = await stored(1)
  await connectionsOf(query, old).suspendAll(undefined)
  await run(query)
  expect(await counts(query)).toEqual({ [newKey]: 2 })
  expect((await rows(query))[0]).toMatchObject({
    state: 'suspended',
    reason: 'integration_suspended',
    version: 1,
  })
})

test('a row of which only the refresh token is under the old key is resealed too', async () => {
  const query = await stored(1)
  const { access_token } = createSealedTokens(query, rotated, runtime, logLines().log).seal(
    { event_id: 'evt_1', organization_id: 'org_1' },
    { accessToken: 'access_1', refreshToken: '' },
  )
  await query.updateTable('connections').set({ access_token }).execute()
  expect((await run(query)).left).toEqual({})
  expect(await counts(query)).toEqual({ [newKey]: 2 })
})

describe('the fence', () => {
  test.each([
    [
      'a newer version of the same bytes',
      (query: Queries) => query.updateTable('connections').set({ version: 2 }).execute(),
    ],
    ['a newer version', (query: Queries) => connectionsOf(query, rotated).save(tokenSet(1, 'new', 'newer'))],
    [
      'other bytes at the same version',
      async (query: Queries) => {
        const { access_token } = createSealedTokens(query, old, runtime, logLines().log).seal(
          { event_id: 'evt_1', organization_id: 'org_1' },
          { accessToken: 'x', refreshToken: 'y' },
        )
        await query.updateTable('connections').set({ access_token }).execute()
      },
    ],
  ])('%s is not overwritten by what was read before', async (_, write) => {
    const query = await stored(1)
    const tokens = createSealedTokens(query, rotated, runtime, logLines().log)
    const [read] = await rows(query)
    const opened = read && (await tokens.open(read))
    if (!read || !opened || opened === 'changed') return expect.unreachable()
    await write(query)
    const newer = await rows(query)
    expect(await tokens.rewrite(read, opened)).toBe(false)
    expect(await rows(query)).toEqual(newer)
  })
})

describe('what cannot be opened', () => {
  test('a damaged connection ends, is logged, and is not left; the rest goes on', async () => {
    const query = await stored(2)
    const [first] = await rows(query)
    const access_token = Buffer.from(first?.access_token ?? [])
    access_token[20] = (access_token[20] ?? 0) ^ 1
    await query.updateTable('connections').set({ access_token }).where('event_id', '=', 'evt_1').execute()
    const { left, lines } = await run(query)
    expect([left, lines]).toEqual([{}, [expect.objectContaining({ level: 'error', event_id: 'evt_1' })]])
    expect((await rows(query)).map(row => row.state)).toEqual(['reconsent', 'connected'])
  })

  test('a damaged connection that is suspended stays so, without its tokens', async () => {
    const query = await stored(1)
    await connectionsOf(query, old).suspendAll(undefined)
    await query
      .updateTable('connections')
      .set(eb => ({ access_token: eb.ref('refresh_token') }))
      .execute()
    expect((await run(query)).left).toEqual({})
    const ended = { state: 'suspended', reason: 'integration_suspended', access_token: null, version: 2 }
    expect((await rows(query))[0]).toMatchObject(ended)
  })

  test('a key of this database that was not given: left, counted, untouched', async () => {
    const query = await stored(1)
    await recordKeys(query, sealerOf(2, 1), runtime)
    await saveConnections(query, sealerOf(2), 60, 2)
    await recordKeys(query, sealerOf(3, 2), runtime).catch(() => undefined)
    const before = await rows(query)
    const { left, lines } = await run(query, sealerOf(3, 4))
    expect([left, lines]).toEqual([{ [oldKey]: 2, [newKey]: 120 }, []])
    expect(await rows(query)).toEqual(before)
  })

  test('verifiers that are damaged are erased; by a clock of its own, the command takes none for expired', async () => {
    const query = await stored(0)
    await saveFlow(query, old, 'live')
    await saveFlow(query, old, 'expired', runtime.now() - 1)
    await saveFlow(query, old, 'moved')
    await query
      .updateTable('flows')
      .set({ state_hash: 'elsewhere' })
      .where('state_hash', '=', 'moved')
      .execute()
    expect((await run(query)).left).toEqual({})
    const flows = await query.selectFrom('flows').selectAll().orderBy('state_hash').execute()
    expect(flows.map(flow => [flow.state_hash, flow.verifier === null])).toEqual([
      ['elsewhere', true],
      ['expired', false],
      ['live', false],
    ])
  })
})
