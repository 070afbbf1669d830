import { DELETION_REQUIRED, EVENT_TYPES } from '../../revento/platform.ts'
import { isName, type Provider, SECRET_FORM, unixSeconds } from '../verify/provider.ts'

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
  dataMember: 'data',
  example: ({ type, id, at }) => {
    const occurred_at = new Date(at).toISOString()
    const isOfEvent = !type.startsWith('integration.')
    return JSON.stringify({
      id: `evt_delivery_${id}`,
      type,
      occurred_at,
      event_id: isOfEvent ? 'evt_test_published' : null,
      organization_id: isOfEvent ? 'org_test_formal' : null,
      data: exampleData(type, occurred_at),
    })
  },
}

const PERSON = { participant_id: 'ptp_001', user_id: 'usr_001', name: 'Amélie Rousseau' }
const STATUS: Readonly<Record<string, string>> = {
  'application.submitted': 'pending',
  'application.rejected': 'rejected',
  'application.revision_requested': 'revision_requested',
}
const REVIEW: Readonly<Record<string, (at: string) => object>> = {
  'application.submitted': at => ({ submitted_at: at }),
  'application.approved': at => ({ approved_at: at, approver_id: 'usr_org_001' }),
  'application.rejected': at => ({ rejected_at: at, reviewer_id: 'usr_org_001' }),
  'application.revision_requested': at => ({ revision_requested_at: at, reviewer_id: 'usr_org_001' }),
}

/** The members that the sandbox's events of this type have. */
function exampleData(type: string, at: string): object {
  const application_status = STATUS[type] ?? 'approved'
  if (type.startsWith('application.')) {
    const custom_form_fields = { favorite_track: 'Worldbuilding', dietary_notes: null, first_visit: true }
    const application = { id: 'app_001', ...PERSON, status: application_status, application_status }
    return { ...application, custom_form_fields, ...REVIEW[type]?.(at) }
  }
  if (type.startsWith('participant.')) {
    const participant = { id: 'ptp_001', ...PERSON, email: 'amelie.rousseau@example.org', role: 'attendee' }
    return { ...participant, application_status, registered_at: at }
  }
  if (type.startsWith('activity.'))
    return { id: 'act_1', title: 'Opening session', capacity: 40, signups: 36, capacity_state: 'nearly_full' }
  return type === DELETION_REQUIRED ? { reason: 'connection_ended' } : {}
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
