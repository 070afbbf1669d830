import type { FastifyPluginAsync } from 'fastify'
import { secretsOf } from '../config/own.ts'
import { erase } from '../integration/erase.ts'
import { jobs } from '../integration/jobs.ts'
import { routes } from '../integration/routes.ts'
import { senders } from '../integration/senders/index.ts'
import { services } from '../integration/services.ts'
import { settings as forms, type Settings } from '../integration/settings.ts'
import { sync } from '../integration/sync.ts'
import { createDescribeError } from '../process/errors.ts'
import type { Log } from '../process/log.ts'
import { hiding } from '../process/logger.ts'
import type { Runtime } from '../process/runtime.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform } from '../storage/schema.ts'
import { shippedProviders } from '../webhooks/providers/index.ts'
import type { Own } from './context.ts'
import { ownDb } from './db.ts'
import type { Erase } from './erase.ts'
import type { Job } from './job.ts'
import { createJobRows } from './job-rows.ts'
import { checkJobs, type JobsOptions, startJobs } from './jobs.ts'
import type { SyncChoices } from './participants.ts'
import { createRevento, type ReventoParts } from './revento.ts'
import type { Routes } from './route.ts'
import { type BuilderRoutesOptions, builderRoutes } from './routes.ts'
import { checkSenders } from './senders.ts'
import { type ServiceList, startServices } from './services.ts'

/** What the builder's folder holds beside handlers and senders. */
export interface Integration {
  readonly services: ServiceList
  readonly routes: Routes
  readonly jobs: readonly Job[]
  readonly erase: Erase
  readonly sync: SyncChoices
}

export const integration: Integration = { services, routes, jobs, erase, sync }

export interface BuilderOptions {
  readonly integration: Integration
  readonly own: Readonly<Record<string, unknown>>
  readonly production: boolean
  readonly mode: Platform
  readonly query: Queries
  readonly log: JobsOptions['log'] & Log
}

export interface Builder {
  /** What handlers get; each run adds a `db` of its own. */
  readonly own: Omit<Own, 'db'>
  readonly erase: Erase
  readonly routes: FastifyPluginAsync<RoutesParts>
  startJobs(o: Omit<ReventoParts, 'query'> & Pick<JobsOptions, 'count'>): void
  stopJobs(): Promise<void>
  stopServices(): Promise<void>
}

type RoutesParts = Omit<BuilderRoutesOptions, 'routes' | 'own' | 'log' | 'production' | 'revento'> &
  Omit<ReventoParts, 'query'>

/** A call for a page waits this long for its turn: people prefer to hear that the limit is used up. */
const PAGE_PATIENCE_MS = 2_000

/** Starts the services; rejects with a BuilderMistake for what the builder has to mend first. */
export async function openBuilder(o: BuilderOptions, runtime: Runtime): Promise<Builder> {
  const { log, production } = o
  const hidden = hiding(secretsOf(forms, o.own))
  const describe = createDescribeError(production)
  const describeError = { text: (error: unknown) => hidden(describe.text(error)) }
  checkSenders(senders, shippedProviders)
  checkJobs(o.integration.jobs)
  const settings = o.own as Settings
  const context = { settings, log: log.child({ part: 'services' }) }
  const services = await startServices(o.integration.services, { context, describeError }, runtime)
  const own = { settings, services: services.all as Own['services'] }
  let stopJobs = async () => {}
  return {
    own,
    erase: o.integration.erase,
    async routes(app, parts) {
      const { routes } = o.integration
      const all = { ...own, db: ownDb(o.query) }
      const revento = createRevento(
        { ...parts, query: o.query },
        { part: 'routes' },
        { patienceMs: PAGE_PATIENCE_MS },
      )
      await app.register(builderRoutes, {
        ...parts,
        routes,
        revento,
        own: all,
        production,
        log: log.child({ part: 'routes' }),
      })
    },
    startJobs({ count, ...parts }) {
      const revento = (name: string, signal: AbortSignal) =>
        createRevento({ ...parts, query: o.query }, { job: name }, { signal })
      const rows = createJobRows(o.query, o.mode)
      const { jobs: list } = o.integration
      const ownFor = (signal: AbortSignal) => ({ ...own, db: ownDb(o.query, signal) })
      stopJobs = startJobs(
        { jobs: list, rows, own: ownFor, revento, count, describeError, log },
        runtime,
      ).stop
    },
    stopJobs: () => stopJobs(),
    stopServices: services.stop,
  }
}
