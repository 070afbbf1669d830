import cookie from '@fastify/cookie'
import type { FastifyPluginAsync } from 'fastify'
import { createAddressLimit } from '../http/caller-address.ts'
import { cookiePrefix } from '../http/own-host.ts'
import type { KeyState } from '../keys/verdict.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { AgedRows } from '../storage/aged-rows.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform } from '../storage/schema.ts'
import { oldestWaitMs } from '../webhooks/inbox/backlog.ts'
import type { Deliveries } from '../webhooks/inbox/deliveries.ts'
import { createInboxQueries } from './queries.ts'
import { createReplays } from './replays.ts'
import { createRollups } from './rollups.ts'
import { operatorRoutes } from './routes.ts'
import { createOperatorSessions, OPERATOR_SESSION_ROWS } from './sessions.ts'

export interface OperatorSettings {
  readonly mode: Platform
  readonly production: boolean
  readonly appName: string
  readonly origin: string
  readonly redirectUri: string
  readonly https: boolean
  readonly trustProxy: readonly string[]
  /** Where it is undefined there are no pages, and nothing is counted. */
  readonly operatorToken: string | undefined
  /** Its names are the providers that are on. */
  readonly providerSecrets: object
}

/** What the pages need of other rooms. */
interface OperatorParts {
  readonly deliveries: Deliveries
  readonly handling: { stalledMs(): number; waiting(): number }
  readonly keyChanges: () => Promise<readonly KeyState[]>
  readonly trouble: () => Promise<string | undefined>
}

export interface Operator {
  /** The given metrics, counted by minute as well. */
  counting(metrics: Metrics): Metrics
  readonly routes: FastifyPluginAsync<OperatorParts>
  readonly aged: readonly AgedRows[]
  /** Stores counts, and moves replays on, until the signal fires. */
  watch(signal: AbortSignal): void
}

/** Ten tries, and then ten a minute: a token of 32 characters is not found by trying. */
const TRIES = { burst: 10, refillMs: 6_000 }

/** The operator's view: all organizers, all senders; what is happening, what went wrong, and what to press. */
export function createOperator(
  config: OperatorSettings,
  { query, clock, log }: { query: Queries; clock: SteadyClock; log: Log },
  runtime: Runtime,
): Operator {
  const platform = config.mode
  const { operatorToken: token } = config
  const inbox = createInboxQueries(query, platform, runtime)
  const rollups = createRollups(query, platform, { clock, log }, runtime)
  const replays = createReplays(query, { platform, inbox }, runtime)
  return {
    counting: metrics => (token === undefined ? metrics : rollups.counting(metrics)),
    aged: [OPERATOR_SESSION_ROWS],
    async routes(app, parts) {
      if (token === undefined) return
      const cookieOptions = { httpOnly: true, sameSite: 'lax', path: '/', secure: config.https } as const
      const names = { cookiePrefix: cookiePrefix(config), cookie: cookieOptions }
      const sessions = createOperatorSessions(query, runtime, clock, { token, ...names })
      const mayTry = createAddressLimit(config.trustProxy, runtime, TRIES)
      await app.register(cookie)
      const oldestMs = () => oldestWaitMs(query, runtime.now())
      const { appName, origin, production } = config
      await app.register(operatorRoutes, {
        ...{ appName, origin, production, sessions, mayTry, inbox, replays, runtime },
        ...{ deliveries: parts.deliveries, providers: Object.keys(config.providerSecrets) },
        overview: { ...parts, query, platform, inbox, rollups, replays, oldestMs },
      })
    },
    watch(signal) {
      void replays.watch(log, signal)
      if (token !== undefined) void rollups.watch(signal)
    },
  }
}
