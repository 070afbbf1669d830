import {
  isName,
  membersOf,
  type Provider,
  SECRET_FORM,
  unixSeconds,
} from '../../../src/webhooks/verify/provider.ts'

/** "t=" + timestamp + ",v1=" + hex(HMAC-SHA256(secret, timestamp + "." + raw body)), with more schemes behind it. */
export const stripe: Provider = {
  name: 'stripe',
  secret: {
    variable: 'STRIPE_WEBHOOK_SECRET',
    form: SECRET_FORM,
    says: 'the signing secret of the endpoint at Stripe: 8 to 512 visible characters, no spaces',
    sandbox: 'sandbox-stripe-secret-for-development-only',
  },
  signature: {
    header: 'stripe-signature',
    prefix: 'v1=',
    algorithm: 'sha256',
    encoding: 'hex',
    pairs: { timestamp: 't=' },
  },
  signed: { parts: ['timestamp'], separator: '.' },
  timestamp: unixSeconds('stripe-signature', 300_000),
  contentType: 'application/json',
  body: 'json',
  refusal: { status: 400, code: 'invalid_signature' },
  accepted: { received: true },
  read({ json }) {
    const { id, type } = membersOf(json)
    return isName(id) && isName(type) ? { id, type, eventId: null, organizationId: null } : undefined
  },
  types: ['charge.refunded', 'charge.succeeded'],
  openTypes: true,
  example: ({ type, id }) => JSON.stringify({ id: `evt_${id}`, type, data: { object: { id: 'ch_1' } } }),
}
