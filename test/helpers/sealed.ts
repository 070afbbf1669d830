import { joinInstances } from '../../src/keys/key-instances.ts'
import { openSealed, type SealingSettings } from '../../src/keys/open-sealed.ts'
import { createSealedTokens } from '../../src/keys/sealed-tokens.ts'
import { createSealer, type Sealer, verifierPlace } from '../../src/keys/sealing.ts'
import { type ConnectionKey, createConnections } from '../../src/oauth/connections.ts'
import { createRefreshLeases } from '../../src/oauth/refresh-lease.ts'
import { type Runtime, systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import type { TokenSet } from '../../src/revento/token-outcome.ts'
import type { Database, Queries, Store } from '../../src/storage/database.ts'
import { takeBack } from './older-schema.ts'

/** Returns a key of 32 times the same byte, which is easy to tell from another one. */
const key = (fill: number) => Buffer.alloc(32, fill)
export const base64 = (fill: number) => key(fill).toString('base64')
export const sealerOf = (current: number, previous?: number) =>
  createSealer(
    { current: key(current), previous: previous === undefined ? undefined : key(previous) },
    runtime,
  )

export const settings = (store: Store, current: number, previous?: number): SealingSettings => ({
  store,
  // No key file is made, because the key is given.
  keyFile: 'no-such.key',
  encryptionKey: key(current),
  encryptionKeyPrevious: previous === undefined ? undefined : key(previous),
})

export interface LogLine {
  level: 'error' | 'warn'
  message: string
  event_id?: string
  detail?: string
}

export function logLines() {
  const lines: LogLine[] = []
  const at = (level: LogLine['level']) => (fields: object, message: string) =>
    void lines.push({ level, message, ...fields })
  return { lines, log: { error: at('error'), warn: at('warn') } }
}

export const idOf = (n: number) => ({ eventId: `evt_${n}`, organizationId: 'org_1' })

export const tokenSet = (n: number, access = `access_${n}`, refresh = `refresh_${n}`) => ({
  ...idOf(n),
  accessToken: access,
  refreshToken: refresh,
  expiresIn: 3600,
  refreshExpiresIn: 7_776_000,
  scope: 'event.read',
})

/** The program's connections. Here `open` also returns the refresh token, and `refreshing` refreshes without a platform. */
export function connectionsOf(query: Queries, sealer: Sealer, log = logLines().log) {
  const connections = createConnections(query, sealer, runtime, { log, platform: 'real' })
  const leases = createRefreshLeases(query, sealer, runtime, createSteadyClock(runtime), 'real')
  return {
    ...connections,
    async open(id: ConnectionKey) {
      const held = await connections.open(id)
      if (!held) return undefined
      const row = await query
        .selectFrom('connections')
        .selectAll()
        .where('event_id', '=', id.eventId)
        .executeTakeFirstOrThrow()
      const tokens = await createSealedTokens(query, sealer, runtime, log).open(row)
      if (!tokens || tokens === 'changed') return undefined
      return { ...tokens, version: held.version }
    },
    /** Begins a refresh. The returned function stores the new tokens. */
    async refreshing(id: ConnectionKey, version: number) {
      const taken = await leases.take(id, version)
      if (taken.kind !== 'taken') throw new Error(taken.kind)
      return (tokens: TokenSet) => leases.complete(taken.lease, tokens)
    },
  }
}

/** Stores the connections evt_1 … evt_n with tokens sealed with `sealer`; those after the first hundred are copies. */
export async function saveConnections(
  query: Queries,
  sealer: Sealer,
  count: number,
  from = 1,
): Promise<void> {
  const connections = connectionsOf(query, sealer)
  const saved = Math.min(count, 100)
  for (let n = from; n < from + saved; n++) await connections.save(tokenSet(n))
  if (saved === count) return
  const { log } = logLines()
  const { seal } = createSealedTokens(query, sealer, runtime, log)
  const first = await query
    .selectFrom('connections')
    .selectAll()
    .where('event_id', '=', idOf(from).eventId)
    .executeTakeFirstOrThrow()
  const copies = Array.from({ length: count - saved }, (_, i) => {
    const { eventId: event_id, organizationId: organization_id } = idOf(from + saved + i)
    const key = { event_id, organization_id }
    return { ...first, ...key, ...seal(key, tokenSet(from + saved + i)) }
  })
  for (let i = 0; i < copies.length; i += 200)
    await query
      .insertInto('connections')
      .values(copies.slice(i, i + 200))
      .execute()
}

/** Stores a flow that began under `sealer`; `name` stands for the hash of its state. */
export const saveFlow = (query: Queries, sealer: Sealer, name: string, expiresAt = runtime.now() + 600_000) =>
  query
    .insertInto('flows')
    .values({
      state_hash: name,
      cookie_hash: 'c',
      verifier: sealer.seal(`verifier of ${name}`, verifierPlace(name)),
      event_id: 'evt_1',
      created_at: runtime.now(),
      expires_at: expiresAt,
      used_at: null,
    })
    .execute()

/** Records these keys as an instance does that starts with them and ends. */
export const recordKeys = async (query: Queries, sealer: Sealer, clock: Runtime) =>
  (await joinInstances(query, sealer, clock)).leave()

/** Makes the database that a start with key `current` leaves, with `count` connections. */
export async function sealedStore(store: Store, current: number, count: number): Promise<void> {
  const { database, sealer } = await openSealed(settings(store, current), runtime)
  await saveConnections(database.query, sealer, count)
  await database.close()
}

/** Takes a database back to the schema before the table of keys. */
export const forgetKeys = ({ query }: Pick<Database, 'query'>) => takeBack(query, '002', ['connections'])
