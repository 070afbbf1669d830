import { registerHooks } from 'node:module'

/** For --import: the real program with a handler that fails where nobody catches it, and never ends. */
const HANDLERS = `export const handlers = { revento: { 'application.approved': async () => {
  setTimeout(() => { throw new TypeError('poison') }, 20)
  await new Promise(() => {})
} } }`

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith('/handlers/index.ts')
      ? { url: `data:text/javascript,${encodeURIComponent(HANDLERS)}`, shortCircuit: true }
      : next(specifier, context),
})
