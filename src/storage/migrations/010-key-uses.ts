import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { withoutRowid } from './types.ts'

/** When each secret and key was last used: for whoever changes one, and wants to know when the old one can go. */
export const keyUses: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('key_uses')
      .addColumn('variable', 'text', c => c.notNull())
      .addColumn('fingerprint', 'text', c => c.notNull())
      .addColumn('since', 'bigint', c => c.notNull())
      .addColumn('last_used_at', 'bigint', c => c.notNull())
      .addPrimaryKeyConstraint('key_uses_pk', ['variable', 'fingerprint'])
      .modifyEnd(withoutRowid(db))
      .execute()
  },
}
