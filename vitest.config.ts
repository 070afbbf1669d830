import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** What differs between the stores: `npm test` runs it on both. `npx vitest run --project 'postgres*'`: all on PostgreSQL. */
const OF_THE_STORE = [
  'test/postgres/*.test.ts',
  'test/builder/{db,erase,jobs,migrations,once,participants}.test.ts',
  'test/cli/person.test.ts',
  'test/hardening/deliveries.test.ts',
  'test/keys/{meter,reseal}.test.ts',
  'test/oauth/{flows,refresh-lease,refresh-storage,sealed-connections}.test.ts',
  'test/operator/{queries,replays,rollups}.test.ts',
  'test/process/tracing.test.ts',
  'test/revento/rate-limiter-property.test.ts',
  'test/status/listing.test.ts',
  'test/storage/{aged-rows,bounded-statements,erased-runs,erasing-processes,erasures,event-data}.test.ts',
  'test/storage/{migrate,outcomes-migration,refresh-waits,storable}.test.ts',
  'test/sync/{activities,faults,runs}.test.ts',
  'test/webhooks/receive.test.ts',
  'test/webhooks/dispatch/{dispatcher,leases,parking,participants,stalled,stopping}.test.ts',
  'test/webhooks/handshake/handshake.test.ts',
  'test/webhooks/inbox/{backlog,claim,dedupe,deliveries,parked,retention,settle}.test.ts',
  'test/webhooks/inline/inline-processes.test.ts',
]

/** What stands above the stores, so that one of them proves it nearly as well: on PostgreSQL in the lab, if there is one. */
const ABOVE_THE_STORE = [
  'test/hardening/{bodies,handshake-bodies,clock-jumps}.test.ts',
  'test/keys/{key-instances,open-sealed,rotation}.test.ts',
  'test/oauth/{callback-success,login,reconnect,refresh,sessions,suspended}.test.ts',
  'test/operator/{session,story}.test.ts',
  'test/revento/rate-limiter-processes.test.ts',
  'test/status/entitlement.test.ts',
  'test/sync/{app,rules}.test.ts',
  'test/webhooks/dispatch/{endings,retries,waking-processes}.test.ts',
  'test/webhooks/inline/inline.test.ts',
]

const ON_POSTGRES = {
  provide: { store: 'postgres' as const },
  globalSetup: ['test/helpers/packages-setup.ts', 'test/helpers/postgres-setup.ts'],
}

// A process that a test starts finds the compiled code of those before it: a third of what its start costs.
// Compiled code has the paths of its first place in its stacks: a project that was moved begins a cache of its own.
const place = createHash('sha256')
  .update(import.meta.dirname)
  .digest('hex')
  .slice(0, 12)
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/node', place)
process.env['NODE_COMPILE_CACHE_PORTABLE'] ??= '1'

export default defineConfig({
  test: {
    // Node's own type stripping, as in production: a test cannot pass on syntax that `npm start` refuses.
    experimental: { viteModuleRunner: false },
    // Most of them wait for processes, pages and a server, so that six keep two cores busy.
    maxWorkers: availableParallelism() * 3,
    // The modules of `src` keep nothing between tests, and to import them takes longer than most test files.
    isolate: false,
    restoreMocks: true,
    testTimeout: 40_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'sqlite',
          include: ['test/**/*.test.ts'],
          exclude: ['test/postgres/**', 'test/lab/**'],
          provide: { store: 'sqlite' },
          globalSetup: 'test/helpers/packages-setup.ts',
        },
      },
      {
        extends: true,
        test: {
          name: 'postgres',
          include: [...OF_THE_STORE, ...ABOVE_THE_STORE],
          exclude: ABOVE_THE_STORE, // part: tools
          ...ON_POSTGRES,
        },
      },
      // part: tools {
      {
        extends: true,
        test: {
          // What takes minutes and breaks things: `npm run lab`, and the checks of a push. `npm test` has a short round of it.
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          provide: { store: 'sqlite' },
          globalSetup: 'test/helpers/postgres-setup.ts',
        },
      },
      {
        extends: true,
        // Behind the rest of the lab, where some measure time.
        test: {
          name: 'postgres-again',
          include: ABOVE_THE_STORE,
          ...ON_POSTGRES,
          sequence: { groupOrder: 1 },
        },
      },
      // part: tools }
    ],
  },
})
