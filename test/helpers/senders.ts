import { providers } from '../../src/webhooks/providers/index.ts'
import type { Provider } from '../../src/webhooks/verify/provider.ts'
import { signedHeaders } from '../../src/webhooks/verify/send.ts'

const secretFor = ({ name, secret }: Provider, which: string) =>
  secret.toKey
    ? `whsec_${Buffer.from(`${which}-of-${name}-0123456789`).toString('base64')}`
    : `${which}-of-${name}-0123`

export const secretOf = (provider: Provider) => secretFor(provider, 'current')
export const previousOf = (provider: Provider) => secretFor(provider, 'previous')
export const VERIFY_TOKEN = 'verify-token-for-tests'

/** The variables that turn every provider but Revento on, each with two secrets. */
export const SENDERS_ENV: Record<string, string> = Object.fromEntries([
  ['WEBHOOK_VERIFY_TOKEN', VERIFY_TOKEN],
  ...providers
    .filter(({ name }) => name !== 'revento')
    .flatMap(provider => [
      [provider.secret.variable, secretOf(provider)],
      [`${provider.secret.variable}_PREVIOUS`, previousOf(provider)],
    ]),
])

/** Returns headers and body of a delivery as that provider sends it; `at` is in ms. */
export function signedAs(
  provider: Provider,
  o: {
    body?: string | Buffer
    type?: string
    at?: number
    id?: string
    secret?: string
    headers?: Record<string, string>
  } = {},
) {
  const { type = provider.types[0], at = Date.now(), id = crypto.randomUUID() } = o
  const body = Buffer.from(o.body ?? provider.example({ type, id, at }))
  const signed = { provider, secret: o.secret ?? secretOf(provider), body, type, deliveryId: id, at }
  return { body, headers: { ...signedHeaders(signed), ...o.headers } }
}
