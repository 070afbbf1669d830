import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { actions } from './actions.route.ts'
import { deliveriesRoutes } from './deliveries.route.ts'
import type { StatusOptions } from './options.ts'
import { participantsRoute } from './participants.route.ts'

/** What an organizer's session may read and do, as JSON and by forms, and the files of every page. */
export const status: FastifyPluginAsync<StatusOptions> = async (app, o) => {
  await app.register(cookie)
  asset(app, '../http/style.css', 'text/css; charset=utf-8')
  asset(app, '../pages/page.js', 'text/javascript; charset=utf-8')
  asset(app, '../pages/favicon.svg', 'image/svg+xml')
  participantsRoute(app, o)
  deliveriesRoutes(app, o)
  await app.register(actions, o)
}

/** Serves a file, by its path from this folder; it is read once. */
function asset(app: FastifyInstance, path: string, type: string): void {
  const content = readFileSync(new URL(path, import.meta.url))
  app.get(`/${basename(path)}`, (_request, reply) =>
    reply.type(type).header('cache-control', 'max-age=300').send(content),
  )
}
