import type { Provider } from '../provider.ts'

/** "sha256=" + hex(HMAC-SHA256(secret, timestamp + "." + raw body)); Unix seconds, 300 s either way. */
export const revento: Provider = {
  name: 'revento',
  signature: { header: 'x-revento-signature', prefix: 'sha256=', algorithm: 'sha256', encoding: 'hex' },
  timestamp: {
    header: 'x-revento-timestamp',
    form: /^\d{10}$/,
    toMs: text => Number(text) * 1000,
    windowMs: 300_000,
  },
  signedPrefix: timestamp => `${timestamp}.`,
  deliveryIdHeader: 'x-revento-delivery-id',
  typeHeader: 'x-revento-event',
  contentTypes: ['application/json'],
  read: readEnvelope,
}

const VISIBLE = /^[\x21-\x7e]{1,200}$/
const isName = (v: unknown): v is string => typeof v === 'string' && VISIBLE.test(v)
const isIdOrNull = (v: unknown): v is string | null => v === null || isName(v)

/** All six fields are documented as always present, with null ids on integration-level events. */
function readEnvelope(body: unknown) {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined
  const { id, type, occurred_at, event_id, organization_id, data } = body as Record<string, unknown>
  if (!isName(id) || !isName(type) || typeof occurred_at !== 'string') return undefined
  if (!isIdOrNull(event_id) || !isIdOrNull(organization_id)) return undefined
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return undefined
  return { id, type, eventId: event_id, organizationId: organization_id }
}
