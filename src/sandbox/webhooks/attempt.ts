import type { Dispatcher } from 'undici'
import { type Answer, send } from '../../webhooks/verify/send.ts'
import type { Fault } from '../faults/fault.ts'
import type { SandboxOptions, Sender } from '../options.ts'
import { autopsy } from './autopsy.ts'
import type { Attempt, Delivery, Wire } from './delivery.ts'

const ATTEMPT_MS = 10_000
const ANSWER_KEPT = 4096

/** Well formed for every provider, and known to none. */
const OTHER_SECRET = `whsec_${Buffer.from('another secret of this sandbox').toString('base64')}`

/** Posts a delivery once, as its provider would, with what a fault changes about it. A network failure is an outcome too. */
export async function attempt(
  delivery: Delivery,
  sender: Sender,
  fault: Fault | undefined,
  options: SandboxOptions,
): Promise<Attempt> {
  const { runtime } = options
  const { url, provider } = sender
  const { shiftMs = 0, rewrite = unchanged, otherSecret } = fault?.effect ?? {}
  const [at, startedAt] = [runtime.now(), runtime.monotonic()]
  const request: Wire = { url, headers: {}, body: delivery.body }
  const sent = {
    url,
    provider,
    secret: otherSecret ? OTHER_SECRET : sender.secret,
    body: delivery.body,
    type: delivery.type,
    deliveryId: delivery.delivery_id,
    at: at + shiftMs,
    timeoutMs: ATTEMPT_MS,
  }
  const outcome = await send(sent, tap(options.dispatcher, request, rewrite)).then(taken, silent)
  const told = { ...outcome, fault: fault ?? null, request, provider, at }
  return {
    at: new Date(at).toISOString(),
    ms: Math.round(runtime.monotonic() - startedAt),
    ...outcome,
    fault: fault?.name ?? null,
    autopsy: autopsy(told, options.explain) ?? null,
    request,
  }
}

const taken = ({ status, body }: Answer) => ({ status, error: null, answer: body.slice(0, ANSWER_KEPT) })
const silent = (err: unknown) => ({ status: null, error: nameOf(err), answer: null })
const unchanged = (body: string) => body

/** Stands between the signed request and the wire: alters the body there, and notes what really goes out. */
function tap(dispatcher: Dispatcher, wire: Wire, rewrite: (body: string) => string): Dispatcher {
  return dispatcher.compose(dispatch => (options, handler) => {
    wire.body = rewrite(String(options.body))
    wire.headers = Object.fromEntries(
      Object.entries(options.headers ?? {}).map(([name, value]) => [name, String(value)]),
    )
    return dispatch({ ...options, body: wire.body }, handler)
  })
}

export function nameOf(err: unknown): string {
  if (!(err instanceof Error)) return 'unknown'
  return 'code' in err && typeof err.code === 'string' ? err.code : err.name
}
