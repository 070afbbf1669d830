import type { Provider } from '../../webhooks/verify/provider.ts'
import type { Fault } from '../faults/fault.ts'
import type { Wire } from './delivery.ts'

/** A delivery as it went out. `at` in milliseconds: when, by this machine's clock. */
export interface Sent {
  readonly provider: Provider
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly at: number
}

/** Looks at a refused delivery with the receiver's eyes. Undefined: nothing to say. */
export type Explain = (sent: Sent) => string | undefined

interface Told {
  status: number | null
  error: string | null
  fault: Fault | null
  request: Wire
  provider: Provider
  at: number
}

/** Why an attempt was not taken, in words; undefined when it was. */
export function autopsy(told: Told, explain: Explain | undefined): string | undefined {
  const { status, fault, request, provider, at } = told
  if (status !== null && status >= 200 && status < 300) return undefined
  const { headers, body } = request
  const cause = status === null ? silence(told) : refusal(status, fault)
  const closer = status === null ? undefined : explain?.({ provider, headers, body, at })
  return [fault && `Bad day: ${fault.title}.`, sentence(closer ?? cause)].filter(Boolean).join(' ')
}

const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1).replace(/[^.]$/, '$&.')

function silence({ error, request }: Told): string {
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
