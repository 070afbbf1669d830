import type { Routes } from '../builder/route.ts'

/**
 * Your routes, as a Fastify plugin; each has a guard, and the app does not start without it. Nothing of ours is under
 * /app/. For instance:
 *
 *   app.get('/app/events', guard.organizer, request => request.organizer.events.map(event => event.eventId))
 *   app.get('/app/about', guard.open, (_request, reply) => page(reply, { title: 'About', body: html`<p>Hello.</p>` }))
 */
export const routes: Routes = () => {}
