import type { Migration } from 'kysely/migration'

/**
 * The only list of your migrations, in their order: `'001-welcomes': welcomes`. What has run once anywhere stays as it
 * is. The README of the folder says how to write one.
 */
export const migrations: Readonly<Record<string, Migration>> = {}
