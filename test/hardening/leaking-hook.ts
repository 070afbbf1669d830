import { registerHooks } from 'node:module'

/** For --import: the real program with handlers that are careless with what they get. */
const LEAKING = new URL('leaking-handlers.ts', import.meta.url).href

registerHooks({
  resolve: (specifier, context, next) =>
    specifier.endsWith('/handlers/index.ts')
      ? { url: LEAKING, shortCircuit: true }
      : next(specifier, context),
})
