import { type Provider, SECRET_FORM } from '../../../src/webhooks/verify/provider.ts'

/** base64(HMAC-SHA256(secret, raw body)); topic and id stand in headers that nobody signs. */
export const shopify: Provider = {
  name: 'shopify',
  secret: {
    variable: 'SHOPIFY_WEBHOOK_SECRET',
    form: SECRET_FORM,
    says: 'the client secret of the app at Shopify: 8 to 512 visible characters, no spaces',
    sandbox: 'sandbox-shopify-secret-for-development-only',
  },
  signature: { header: 'x-shopify-hmac-sha256', prefix: '', algorithm: 'sha256', encoding: 'base64' },
  signed: { parts: [], separator: '' },
  deliveryIdHeader: 'x-shopify-webhook-id',
  unsignedTypeHeader: 'x-shopify-topic',
  contentType: 'application/json',
  body: 'json',
  refusal: { status: 401, code: 'invalid_signature' },
  accepted: 'ok',
  read: ({ unsignedType, fingerprint }) =>
    unsignedType === null
      ? undefined
      : { id: fingerprint(), type: unsignedType, eventId: null, organizationId: null },
  types: ['orders/create', 'orders/paid'],
  openTypes: true,
  example: ({ id }) => JSON.stringify({ id, email: 'jon@example.com' }),
}
