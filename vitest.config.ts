import { defineConfig } from 'vitest/config'

/** What has to hold on both databases; `npx vitest run --project postgres` runs these alone. */
const ON_POSTGRES = [
  'test/postgres/*.test.ts',
  'test/webhooks/{attempts,backlog,claim,concurrency,deliveries,duplicates,handshake,inline,parked,stalled}.test.ts',
  'test/webhooks/{inline-processes,leases,receive,retention,retries,stopping,waking-processes}.test.ts',
  'test/handlers/*.test.ts',
  'test/hardening/{bodies,clock-jumps,deliveries}.test.ts',
  'test/oauth/{callback-success,connect-cookies,ended-connections,flows,reconnect,refresh,refresh-clock,refresh-storage,suspended}.test.ts',
  'test/oauth/sealed-connections.test.ts',
  'test/revento/{api-limits-property,api-limits-processes}.test.ts',
  'test/rotation/{key-change,meter,rotation}.test.ts',
  'test/status/{entitlement,sessions}.test.ts',
  'test/storage/{aged-rows,bounded-statements,endings,erased-runs,erasing-processes,newer-schema,open-sealed,participants,refresh-waits,reseal,storable}.test.ts',
]

export default defineConfig({
  test: {
    // Node's own type stripping, as in production: a test cannot pass on syntax that `npm start` refuses.
    experimental: { viteModuleRunner: false },
    // Most of them wait for processes and clocks: one a core, where Vitest would leave a core alone.
    maxWorkers: '100%',
    testTimeout: 20_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'sqlite',
          include: ['test/**/*.test.ts'],
          exclude: ['test/postgres/**'],
          provide: { store: 'sqlite' },
        },
      },
      {
        extends: true,
        test: {
          name: 'postgres',
          include: ON_POSTGRES,
          provide: { store: 'postgres' },
          globalSetup: 'test/helpers/postgres-setup.ts',
        },
      },
    ],
  },
})
