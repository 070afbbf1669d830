import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { OwnMigrations } from '../../src/storage/own-migrations.ts'
import { openPostgres } from '../../src/storage/postgres/database.ts'
import { startPostgres } from './postgres.ts'

/** Starts a server once a run, or takes that of TEST_DATABASE_URL, and makes two migrated databases for tests to copy. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['TEST_DATABASE_URL']
  const server = given ? { url: given, stop: async () => {} } : await startPostgres()
  const prefix = `revento_test_${process.pid}_`
  const [template, ours] = [`${prefix}template`, `${prefix}ours`]
  const admin = new pg.Client(server.url)
  await admin.connect()
  const make = async (name: string, from: string, own?: OwnMigrations) => {
    await admin.query(`create database ${name} template ${from}`)
    const url = new URL(server.url)
    url.pathname = name
    await (await openPostgres({ kind: 'postgres', url: url.href }, systemRuntime, own)).close()
  }
  await make(ours, 'template1', {})
  await make(template, ours)
  project.provide('postgres', { url: server.url, template, ours, prefix })
  return async () => {
    // A server of our own takes its databases with it.
    if (!given) return admin.end().then(server.stop)
    const made = await admin.query('select datname from pg_database where starts_with(datname, $1)', [prefix])
    for (const { datname } of made.rows) await admin.query(`drop database ${datname} with (force)`)
    await admin.end()
    await server.stop()
  }
}
