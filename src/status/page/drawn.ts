import type { FastifyRequest } from 'fastify'
import type { Html } from '../../http/html.ts'
import type { Session } from '../../oauth/sessions.ts'
import type { DeliveryStory } from '../../webhooks/inbox/deliveries.ts'

/** What the page draws for the routes of this room. */
export interface Drawn {
  /** What a session is entitled to; undefined where that is nothing. */
  overview(request: FastifyRequest, session: Session): Promise<Html | undefined>
  story(story: DeliveryStory, session: Session): Html
}
