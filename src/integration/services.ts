import type { Started } from '../builder/service.ts'

/**
 * What is made at the start, closed at the stop, and handed on as `services`; `service` is in `src/builder/service.ts`.
 * For instance `mail: service({ start: ({ settings }) => connectMail(settings.MAIL_URL), stop: mail => mail.close() })`.
 */
export const services = {}

/** As handlers, routes and jobs get them. */
export type Services = Started<typeof services>
