import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Html } from '../http/html.ts'
import type { ConnectionKey } from '../oauth/connections.ts'
import type { Log } from '../process/log.ts'
import type { EventApi, MeApi } from '../revento/api.ts'
import type { SignInKey } from '../revento/platform.ts'
import type { Own } from './context.ts'
import type { Revento } from './revento.ts'

/** Route options that say who may use a route: `app.get('/app/badges', guard.organizer, …)`. */
export interface Guards {
  /**
   * For a browser that has connected an event; any other gets 401. `request.organizer` has the events that it may use. A
   * request with any method but GET must come from a form of this app that has `formToken(request)` in it.
   */
  readonly organizer: Guard
  /**
   * For a participant who signed in (GET /login); any other gets 401, or 404 where REVENTO_USER_SCOPES is not set.
   * `request.participant` has their own API. Forms need `formToken(request)` as for organizers.
   */
  readonly participant: Guard
  /** For everybody. */
  readonly open: Guard
}
export interface Guard {
  readonly config: { readonly guard: GuardName }
}
export type GuardName = 'organizer' | 'participant' | 'open'

/** A participant who signed in, for the event of that sign-in. */
export interface Participant extends SignInKey {
  readonly me: MeApi
}

/** The organizer whose browser sent the request, and the events that may be shown to them. */
export interface Organizer {
  /** The events that this browser has connected and may see, the newest first. */
  readonly events: readonly OrganizerEvent[]
  /** Finds one of them, or throws: another's event is answered 404, as one that does not exist; one that has ended, 409. */
  event(eventId: string): OrganizerEvent
}
export interface OrganizerEvent extends ConnectionKey {
  /** Let its errors pass: they become the answers that the app's own routes give. */
  readonly api: EventApi
}

export interface RoutesContext extends Own {
  readonly guard: Guards
  /** The API of every connection, for routes without an organizer. Its answers must not be shown to everybody. */
  readonly revento: Revento
  readonly log: Log
  /** Answers with a page in this app's layout; the whole answer of a handler. */
  page(reply: FastifyReply, o: { title: string; body: Html }): FastifyReply
  /** The hidden field for each form that changes something. */
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
    /** Throws on a route without `guard.organizer`. */
    organizer: Organizer
    /** Throws on a route without `guard.participant`. */
    participant: Participant
  }
}
