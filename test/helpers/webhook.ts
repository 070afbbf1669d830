import { revento } from '../../src/webhooks/providers/revento.ts'
import { sign } from '../../src/webhooks/verify/signature.ts'
import { WEBHOOK_SECRET } from './secrets.ts'

let sent = 0

export const envelope = (change: Record<string, unknown> = {}) => ({
  id: `evt_delivery_${++sent}`,
  type: 'application.approved',
  occurred_at: '2026-05-09T14:22:31Z',
  event_id: 'evt_test_published',
  organization_id: 'org_test_formal',
  data: { id: 'app_1', participant_id: 'ptp_001', status: 'approved' },
  ...change,
})

/** Returns headers and body of a delivery, signed as Revento signs; `at` is in ms. */
export function signedDelivery(
  o: {
    body?: string | Buffer
    event?: Record<string, unknown>
    at?: number
    secret?: string
    id?: string | null
    headers?: Record<string, string>
  } = {},
) {
  const body = Buffer.from(o.body ?? JSON.stringify(envelope(o.event)))
  const timestamp = String(Math.floor((o.at ?? Date.now()) / 1000))
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'x-revento-timestamp': timestamp,
      'x-revento-signature': sign(revento, o.secret ?? WEBHOOK_SECRET, timestamp, body),
      ...(o.id === null ? {} : { 'x-revento-delivery-id': o.id ?? crypto.randomUUID() }),
      ...o.headers,
    },
  }
}
