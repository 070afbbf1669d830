import { AsyncLocalStorage } from 'node:async_hooks'
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Agent, setGlobalDispatcher } from 'undici'
import type { Effect, Once } from '../../../builder/once.ts'
import { handlers } from '../../../integration/handlers/index.ts'
import type { Probe } from './world.ts'

/**
 * This module is loaded before the app, into its process, and puts mischief around every handler, while the handler
 * itself runs as it is. The first run of each delivery does its whole work and then
 * - throw: fails, as when the last line of a handler throws;
 * - hang: never ends, so that a kill meets it after its work and before its outcome;
 * - slow: ends only after a while that is longer than a sender waits.
 * What a handler posts with fetch or undici goes to a pretend service, which counts it; see outside.ts.
 */
const SLOW_MS = 12_000
/** The name that outside.ts, in the drill's own process, has for the file. */
const OUTSIDE = 'outside.jsonl'

type Lists = Record<string, AnyHandler | undefined>
interface Context {
  readonly delivery: { readonly attempt: number; readonly id: number }
  once?: Once
}
type AnyHandler = (context: Context) => Promise<unknown>

const mischief: Record<Probe, (id: number) => Promise<void>> = {
  none: async () => {},
  throw: () => Promise.reject(new DrillError('thrown after the handler had done its work')),
  hang(id) {
    process.stdout.write(`drill: delivery ${id} hangs\n`)
    return new Promise(() => {})
  },
  slow: () => new Promise(resolve => setTimeout(resolve, SLOW_MS)),
}

class DrillError extends Error {
  override readonly name = 'Drill'
}

const runs = new AsyncLocalStorage<object>()

const service = createServer((request, response) => {
  request.resume().on('end', () => {
    response.setHeader('content-type', 'application/json')
    response.end('{"ok":true,"id":"drill"}')
  })
})
await new Promise<void>(resolve => service.listen(0, '127.0.0.1', resolve))
service.unref()
const pretend = `http://127.0.0.1:${(service.address() as AddressInfo).port}`

setGlobalDispatcher(
  new Agent().compose(dispatch => (options, handler) => {
    const run = runs.getStore()
    if (run === undefined || options.method === 'GET' || options.method === 'HEAD')
      return dispatch(options, handler)
    const what = `${options.method} ${new URL(String(options.origin)).origin}`
    appendFileSync(OUTSIDE, `${JSON.stringify({ ...run, what })}\n`)
    return dispatch({ ...options, origin: pretend }, handler)
  }),
)

/** Runs each effect with its name, which requests from inside it are counted under. */
const namedOnce =
  (once: Once, run: object): Once =>
  (name, effect) =>
    once(name, (to: Effect) => runs.run({ ...run, once: name }, () => effect(to)))

const probe = new URL(import.meta.url).search.slice(1) as Probe
for (const [provider, list] of Object.entries<object>({ ...handlers }) as [string, Lists][]) {
  // Aghanim waits for the answer of its handler: nothing of it is queued, or run again.
  if (provider === 'aghanim') continue
  for (const [type, handler] of Object.entries(list))
    list[type] = async context => {
      const { id, attempt } = context.delivery
      const run = { delivery: id, provider, type, attempt }
      if (context.once) context.once = namedOnce(context.once, run)
      await runs.run(run, async () => handler?.(context))
      if (attempt === 1) await mischief[probe](id)
    }
}
