import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Config } from '../config/settings.ts'
import type { Runtime } from '../process/runtime.ts'
import { actions } from './actions.route.ts'
import { deliveriesRoutes } from './deliveries.route.ts'
import type { StatusOptions, StatusParts } from './options.ts'
import { createPage } from './page/page.ts' // part: page
import { createTitles } from './page/titles.ts' // part: page
import { participantsRoute } from './participants.route.ts'
import { start } from './start.ts'

export interface Status {
  /** What an organizer's session may read and do, as JSON and by forms, and the files of every page. */
  readonly routes: FastifyPluginAsync
  /** GET /, where no route before it is one. */
  readonly start: FastifyPluginAsync
}

/** The organizer's own view of an event. */
export function createStatus(config: Config, parts: StatusParts, runtime: Runtime): Status {
  const { appName, origin, production, defaultEventId } = config
  const { oauth, ...others } = parts
  const { sessions, connections, api } = oauth
  const common = {
    ...{ ...others, appName, origin, production, defaultEventId, sessions, connections, api, runtime },
    sandbox: config.mode === 'sandbox' ? { url: config.authBase } : undefined,
  }
  // part: page {
  const page = createPage({
    ...{ ...common, people: parts.sync.people, titles: createTitles(runtime) },
    requestedScopes: config.scopes.split(' '),
  })
  // part: page }
  const options: StatusOptions = {
    ...common,
    page, // part: page
  }
  return {
    async routes(app) {
      await app.register(cookie)
      page.routes(app) // part: page
      asset(app, '../http/style.css', 'text/css; charset=utf-8')
      asset(app, '../pages/page.js', 'text/javascript; charset=utf-8')
      asset(app, '../pages/favicon.svg', 'image/svg+xml')
      participantsRoute(app, options)
      deliveriesRoutes(app, options)
      await app.register(actions, options)
    },
    start: app => start(app, options),
  }
}

/** Serves a file, by its path from this folder; it is read once. */
function asset(app: FastifyInstance, path: string, type: string): void {
  const content = readFileSync(new URL(path, import.meta.url))
  app.get(`/${basename(path)}`, (_request, reply) =>
    reply.type(type).header('cache-control', 'max-age=300').send(content),
  )
}
