import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { sendToOwnHost } from '../http/own-host.ts'
import { actions } from './actions.route.ts'
import { deliveriesRoutes, streamRoute } from './deliveries.route.ts'
import type { StatusOptions } from './overview.ts'
import { statusPage } from './page.ts'
import { participantsRoute } from './participants.route.ts'

/** The organizer's page and its JSON. */
export const status: FastifyPluginAsync<StatusOptions> = async (app, o) => {
  await app.register(cookie)
  asset(app, '../http/style.css', 'text/css; charset=utf-8')
  asset(app, '../pages/page.js', 'text/javascript; charset=utf-8')
  asset(app, '../pages/favicon.svg', 'image/svg+xml')
  app.route({
    method: 'GET',
    url: '/',
    onRequest: sendToOwnHost(o),
    handler: async (request, reply) =>
      reply.type('text/html; charset=utf-8').send((await statusPage(o, request)).text),
  })
  participantsRoute(app, o)
  deliveriesRoutes(app, o)
  streamRoute(app, o)
  await app.register(actions, o)
}

/** Serves a file, by its path from this folder; it is read once. */
function asset(app: FastifyInstance, path: string, type: string): void {
  const content = readFileSync(new URL(path, import.meta.url))
  app.get(`/${basename(path)}`, (_request, reply) =>
    reply.type(type).header('cache-control', 'max-age=300').send(content),
  )
}
