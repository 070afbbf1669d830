import type { FastifyPluginAsync } from 'fastify'
import { secretsOf } from '../config/own.ts'
import type { Config } from '../config/settings.ts'
import { erase } from '../integration/erase.ts'
import { handlers } from '../integration/handlers/index.ts'
import { jobs } from '../integration/jobs.ts'
import { mePage } from '../integration/me.ts'
import { routes } from '../integration/routes.ts'
import { senders } from '../integration/senders/index.ts'
import { services } from '../integration/services.ts'
import { settings as forms, type Settings } from '../integration/settings.ts'
import { sync } from '../integration/sync.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { OAuth } from '../oauth/index.ts'
import { createDescribeError } from '../process/errors.ts'
import type { Log } from '../process/log.ts'
import { hiding } from '../process/logger.ts'
import type { Runtime } from '../process/runtime.ts'
import type { ApiClient } from '../revento/api.ts'
import type { Queries } from '../storage/database.ts'
import { shippedProviders } from '../webhooks/providers/index.ts'
import type { Handlers, Own } from './context.ts'
import { ownDb } from './db.ts'
import type { Erase } from './erase.ts'
import type { Job } from './job.ts'
import { createJobRows } from './job-rows.ts'
import { checkJobs, type JobsOptions, type RunningJobs, startJobs } from './jobs.ts'
import { meRoutes } from './me.ts'
import type { SyncChoices } from './participants.ts'
import { createRevento } from './revento.ts'
import type { Routes } from './route.ts'
import { builderRoutes } from './routes.ts'
import { checkSenders } from './senders.ts'
import { type ServiceList, startServices } from './services.ts'

/** What the builder's folder holds beside senders and settings. */
export interface Integration {
  readonly handlers: Handlers
  readonly services: ServiceList
  readonly routes: Routes
  readonly jobs: readonly Job[]
  readonly erase: Erase
  readonly sync: SyncChoices
}

export interface BuilderParts {
  /** Stands for what the folder holds: tests replace parts of it. */
  readonly integration: Partial<Integration> | undefined
  readonly query: Queries
  readonly oauth: OAuth
  readonly apiClient: ApiClient
  readonly metrics: Pick<Metrics, 'job'>
  readonly log: JobsOptions['log'] & Log
}

export interface Builder extends Pick<Integration, 'handlers' | 'erase' | 'sync'> {
  /** What handlers get; each run adds a `db` of its own. */
  readonly own: Omit<Own, 'db'>
  /** The builder's routes, and the page of a participant who signed in. */
  readonly routes: FastifyPluginAsync
  startJobs(): void
  stopJobs(): Promise<void>
  stopServices(): Promise<void>
}

/** A call for a page waits this long for its turn: people prefer to hear that the limit is used up. */
const PAGE_PATIENCE_MS = 2_000

/** Starts the services; rejects with a BuilderMistake for what the builder has to mend first. */
export async function openBuilder(config: Config, o: BuilderParts, runtime: Runtime): Promise<Builder> {
  const { query, apiClient, log } = o
  const { appName, origin, production } = config
  const { sessions, login, connections, api, accessTokens } = o.oauth
  const integration = { handlers, services, routes, jobs, erase, sync, ...o.integration }
  const hidden = hiding(secretsOf(forms, config.own))
  const describe = createDescribeError(production)
  const describeError = { text: (error: unknown) => hidden(describe.text(error)) }
  checkSenders(senders, shippedProviders)
  checkJobs(integration.jobs)
  const settings = config.own as Settings
  const context = { settings, log: log.child({ part: 'services' }) }
  const started = await startServices(integration.services, { context, describeError }, runtime)
  const own = { settings, services: started.all as Own['services'] }
  const parts = { query, connections, accessTokens, apiClient, origin }
  let running: RunningJobs | undefined
  return {
    own,
    handlers: integration.handlers,
    erase: integration.erase,
    sync: integration.sync,
    async routes(app) {
      await app.register(builderRoutes, {
        ...{ appName, origin, production, sessions, login, connections, api, routes: integration.routes },
        own: { ...own, db: ownDb(query) },
        revento: createRevento(parts, { part: 'routes' }, { patienceMs: PAGE_PATIENCE_MS }),
        log: log.child({ part: 'routes' }),
      })
      if (login) await app.register(meRoutes, { appName, origin, production, login, page: mePage })
    },
    startJobs() {
      running = startJobs(
        {
          ...{ jobs: integration.jobs, count: o.metrics.job, describeError, log },
          rows: createJobRows(query, config.mode),
          own: signal => ({ ...own, db: ownDb(query, signal) }),
          revento: (job, signal) => createRevento(parts, { job }, { signal }),
        },
        runtime,
      )
    },
    stopJobs: async () => running?.stop(),
    stopServices: started.stop,
  }
}
