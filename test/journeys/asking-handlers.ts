import { registerHooks } from 'node:module'

/** For --import: the real program with a handler that asks the API. */
const HANDLERS = `export const handlers = { revento: { 'application.approved': ({ api }) => api.event() } }`

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith('/handlers/index.ts')
      ? { url: `data:text/javascript,${encodeURIComponent(HANDLERS)}`, shortCircuit: true }
      : next(specifier, context),
})
