import type { Dispatcher } from 'undici'
import type { Provider } from '../../webhooks/verify/provider.ts'
import { type Answer, send } from '../../webhooks/verify/send.ts'
import type { Fault } from '../faults/fault-table.ts'
import type { Explain, SandboxOptions, Sender } from '../options.ts'
import type { Attempt, Delivery, Wire } from './delivery.ts'

const ATTEMPT_MS = 10_000
const ANSWER_KEPT = 4096

/** A secret in the form of every provider, which no app has. */
const OTHER_SECRET = `whsec_${Buffer.from('another secret of this sandbox').toString('base64')}`

/** Posts a delivery once, as its provider would, with the changes of a fault. A network failure is an outcome, too. */
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
  const seen = { ...outcome, fault: fault ?? null, request, provider, at }
  return {
    at: new Date(at).toISOString(),
    ms: Math.round(runtime.monotonic() - startedAt),
    ...outcome,
    fault: fault?.name ?? null,
    autopsy: autopsy(seen, options.explain) ?? null,
    request,
  }
}

const taken = ({ status, body }: Answer) => ({ status, error: null, answer: body.slice(0, ANSWER_KEPT) })
const silent = (err: unknown) => ({ status: null, error: nameOf(err), answer: null })
const unchanged = (body: string) => body

/** Stands between the signed request and the network: it alters the body there, and records what is really sent. */
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

interface Outcome {
  status: number | null
  error: string | null
  fault: Fault | null
  request: Wire
  provider: Provider
  at: number
}

/** The reason, in words, why an attempt was refused; undefined when it was accepted. */
function autopsy(outcome: Outcome, explain: Explain | undefined): string | undefined {
  const { status, fault, request, provider, at } = outcome
  if (status !== null && status >= 200 && status < 300) return undefined
  const { headers, body } = request
  const cause = status === null ? silence(outcome) : refusal(status, fault)
  const closer = status === null ? undefined : explain?.({ provider, headers, body, at })
  return [fault && `Bad day: ${fault.title}.`, sentence(closer ?? cause)].filter(Boolean).join(' ')
}

const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1).replace(/[^.]$/, '$&.')

function silence({ error, request }: Outcome): string {
  if (error === 'ECONNREFUSED')
    return `Nothing listens at ${new URL(request.url).origin}: is your app running?`
  if (error === 'TimeoutError') return 'No answer within ten seconds: acknowledge first, work afterwards.'
  return `The connection broke: ${error}.`
}

function refusal(status: number, fault: Fault | null): string {
  if ((status === 401 || status === 403) && fault) return fault.what
  if (status === 401 || status === 403)
    return 'The signature was not accepted: another secret, another clock, or a body that changed on the way.'
  if (status === 404) return 'There is no such route: is this sender configured in your app?'
  if (status >= 500) return 'Your app could not take it now: its log says why.'
  if (status >= 300 && status < 400) return 'A redirect is no acknowledgement, and is not followed.'
  return 'Your app does not take this: its log says why.'
}
