import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Html } from '../http/html.ts'
import type { ConnectionKey } from '../oauth/connections.ts'
import type { Log } from '../process/log.ts'
import type { EventApi, MeApi } from '../revento/api.ts'
import type { SignInKey } from '../revento/platform.ts'
import type { Own } from './context.ts'
import type { Revento } from './revento.ts'

/** Who may come to a route: the options of each of them, `app.get('/app/badges', guard.organizer, …)`. */
export interface Guards {
  /**
   * A browser that has connected an event; 401 for any other. `request.organizer` says which events it may touch. What
   * changes something (any method but GET) has to come from a page of this app, with `formToken(request)` in it.
   */
  readonly organizer: Guard
  /**
   * A participant who signed in (GET /login); 401 for any other, 404 where REVENTO_USER_SCOPES is not set.
   * `request.participant` has their own API, and forms need `formToken(request)` as for organizers.
   */
  readonly participant: Guard
  /** Everybody. */
  readonly open: Guard
}
export interface Guard {
  readonly config: { readonly guard: GuardName }
}
export type GuardName = 'organizer' | 'participant' | 'open'

/** Somebody who signed in, for the event of that sign-in. */
export interface Participant extends SignInKey {
  readonly me: MeApi
}

/** Who has come, and what may be shown to them. */
export interface Organizer {
  /** What this browser has connected and may see, the newest first. */
  readonly events: readonly OrganizerEvent[]
  /** One of them. Throws: another's event is answered 404, as one that does not exist; one that has ended 409. */
  event(eventId: string): OrganizerEvent
}
export interface OrganizerEvent extends ConnectionKey {
  /** What it throws may pass: it becomes the answer that the app's own routes give. */
  readonly api: EventApi
}

export interface RoutesContext extends Own {
  readonly guard: Guards
  /** The API of any connection, for routes that are for no organizer: what it knows must not be shown to everybody. */
  readonly revento: Revento
  readonly log: Log
  /** Answers with a page in this app's layout; the whole answer of a handler. */
  page(reply: FastifyReply, o: { title: string; body: Html }): FastifyReply
  /** A hidden field: each form of a page that changes something has it. */
  formToken(request: FastifyRequest): Html
}

/** A Fastify plugin: hooks, parsers and decorators in it are of its own routes only. */
export type Routes = (app: FastifyInstance, context: RoutesContext) => void | Promise<void>

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Set by `guard`. */
    guard?: GuardName
  }
  interface FastifyRequest {
    /** Of a route with `guard.organizer`; throws in any other. */
    organizer: Organizer
    /** Of a route with `guard.participant`; throws in any other. */
    participant: Participant
  }
}
