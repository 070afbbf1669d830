import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { blobOf } from './types.ts'

export const sealingKeys: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('sealing_keys')
      .addColumn('key_id', 'text', c => c.primaryKey())
      .addColumn('generation', 'bigint', c => c.notNull())
      .addColumn('check_value', blobOf(db))
      .execute()
  },
}
