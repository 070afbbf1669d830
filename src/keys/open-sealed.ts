import { existsSync } from 'node:fs'
import type { Runtime } from '../process/runtime.ts'
import type { Database, Queries, Store } from '../storage/database.ts'
import { refuseOtherSchema } from '../storage/migrate.ts'
import { openDatabase, readDatabase } from '../storage/open.ts'
import { refuseDamage } from '../storage/sqlite/database.ts'
import { joinInstances, type KeyInstance } from './key-instances.ts'
import { createSealer, developmentKey, type Sealer } from './sealing.ts'
import { type KnownKey, readKeys, refuseWrongKeys, SealingKeyError } from './sealing-keys.ts'

/** The part of the configuration with the store and its keys. */
export interface SealingSettings {
  readonly store: Store
  readonly encryptionKey: Buffer | undefined
  readonly encryptionKeyPrevious: Buffer | undefined
  readonly keyFile: string
}

/** Opens the database with its sealer. Throws SealingKeyError for a wrong key, before a byte is written. */
export async function openSealed(
  o: SealingSettings,
  runtime: Runtime,
): Promise<{ database: Database; sealer: Sealer; instance: KeyInstance; isNew: boolean }> {
  const { sealer, known } = await checkKeys(o, runtime)
  const database = await openDatabase(o.store, runtime)
  try {
    const instance = await joinInstances(database.query, sealer, runtime)
    const close = async () => {
      await instance.leave()
      await database.close()
    }
    return { database: { ...database, close }, sealer, instance, isNew: known.length === 0 }
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Reads the database, if there is one, and refuses keys of another. `known` has the key in use first. */
export async function checkKeys(
  o: SealingSettings,
  runtime: Runtime,
): Promise<{ sealer: Sealer; known: readonly KnownKey[] }> {
  const query = await readDatabase(o.store, runtime)
  const known = query ? await knownKeys(o, query, runtime).finally(() => query.destroy()) : []
  // A new key file would only hide that the old file is gone.
  if (!o.encryptionKey && known.length > 0 && !existsSync(o.keyFile))
    throw new SealingKeyError(
      `ENCRYPTION_KEY is not set and the key file ${o.keyFile} is gone, but this database has a key. Put one back.`,
    )
  const current = o.encryptionKey ?? developmentKey(o.keyFile, runtime)
  const sealer = createSealer({ current, previous: o.encryptionKeyPrevious }, runtime)
  refuseWrongKeys(known, sealer)
  return { sealer, known }
}

async function knownKeys({ store }: SealingSettings, query: Queries, runtime: Runtime): Promise<KnownKey[]> {
  if (store.kind === 'sqlite') await refuseDamage(store.path, query)
  await refuseOtherSchema(query)
  return readKeys(query, runtime)
}
