import type { Started } from '../builder/service.ts'

/**
 * What is made once at the start, closed at the stop, and handed to handlers, routes and jobs as `services`. For instance
 * `mail: service({ start: ({ settings }) => connectMail(settings.MAIL_URL), stop: mail => mail.close() })`, with `service` of
 * `src/builder/service.ts`.
 */
export const services = {}

/** As handlers, routes and jobs get them. */
export type Services = Started<typeof services>
