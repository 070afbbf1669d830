import { isName, membersOf, type Provider, unixSeconds } from '../verify/provider.ts'

const PREFIX = 'whsec_'
const KEY_BASE64 = '(?:[A-Za-z0-9+/]{4}){4,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?'

/** Standard Webhooks: "v1," + base64(HMAC-SHA256(key, id + "." + timestamp + "." + raw body)), 300 s either way. */
export const standard: Provider = {
  name: 'standard',
  secret: {
    variable: 'STANDARD_WEBHOOK_SECRET',
    form: `^${PREFIX}${KEY_BASE64}$`,
    says: 'the secret from the sender: whsec_ and at least 16 bytes in base64',
    sandbox: `${PREFIX}c2FuZGJveC1zdGFuZGFyZC1zZWNyZXQtZm9yLWRldmVsb3BtZW50`,
    toKey: secret => Buffer.from(secret.slice(PREFIX.length), 'base64'),
  },
  signature: {
    header: 'webhook-signature',
    prefix: 'v1,',
    algorithm: 'sha256',
    encoding: 'base64',
    list: true,
  },
  signed: { parts: ['id', 'timestamp'], separator: '.' },
  timestamp: unixSeconds('webhook-timestamp', 300_000),
  deliveryIdHeader: 'webhook-id',
  contentType: 'application/json',
  body: 'json',
  refusal: { status: 401, code: 'invalid_signature' },
  accepted: 'ok',
  // The id is signed, so it is the key. A body without a type is allowed by the specification.
  read({ json, deliveryId }) {
    const { type } = membersOf(json)
    if (deliveryId === null) return undefined
    return { id: deliveryId, type: isName(type) ? type : 'message', eventId: null, organizationId: null }
  },
  types: ['message'],
  openTypes: true,
  dataMember: 'data',
  example: ({ type, at }) => JSON.stringify({ type, timestamp: new Date(at).toISOString(), data: {} }),
}
