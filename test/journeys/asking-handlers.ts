import type { Handlers } from '../../src/builder/context.ts'

/** What HANDLERS may name: a handler that asks the API. */
export const handlers: Handlers = {
  revento: { 'application.approved': async ({ api }) => void (await api.event()) },
}
