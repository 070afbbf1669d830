import { EVENT_TYPES } from '../../revento/platform.ts'
import { isName, type Provider, SECRET_FORM, unixSeconds } from '../provider.ts'

/** "sha256=" + hex(HMAC-SHA256(secret, timestamp + "." + raw body)); Unix seconds, 300 s either way. */
export const revento: Provider = {
  name: 'revento',
  secret: {
    variable: 'REVENTO_WEBHOOK_SECRET',
    form: SECRET_FORM,
    says: 'the webhook signing secret from Revento: 8 to 512 visible characters, no spaces',
    sandbox: 'sandbox-webhook-secret-for-development-only',
  },
  signature: { header: 'x-revento-signature', prefix: 'sha256=', algorithm: 'sha256', encoding: 'hex' },
  signed: { parts: ['timestamp'], separator: '.' },
  timestamp: unixSeconds('x-revento-timestamp', 300_000),
  deliveryIdHeader: 'x-revento-delivery-id',
  typeHeader: 'x-revento-event',
  contentType: 'application/json',
  body: 'json',
  refusal: { status: 401, code: 'invalid_signature' },
  accepted: 'ok',
  read: ({ json }) => readEnvelope(json),
  types: EVENT_TYPES,
  example: ({ type, id, at }) =>
    JSON.stringify({
      id: `evt_delivery_${id}`,
      type,
      occurred_at: new Date(at).toISOString(),
      event_id: 'evt_test_published',
      organization_id: 'org_test_formal',
      data: { id: 'app_001', participant_id: 'ptp_001' },
    }),
}

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
