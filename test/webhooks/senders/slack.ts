import { type Provider, SECRET_FORM, unixSeconds } from '../../../src/webhooks/verify/provider.ts'

/** "v0=" + hex(HMAC-SHA256(secret, "v0:" + timestamp + ":" + raw body)); a form, so its handler reads `raw`. */
export const slack: Provider = {
  name: 'slack',
  secret: {
    variable: 'SLACK_WEBHOOK_SECRET',
    form: SECRET_FORM,
    says: 'the signing secret of the app at Slack: 8 to 512 visible characters, no spaces',
    sandbox: 'sandbox-slack-secret-for-development-only',
  },
  signature: { header: 'x-slack-signature', prefix: 'v0=', algorithm: 'sha256', encoding: 'hex' },
  signed: { start: 'v0:', parts: ['timestamp'], separator: ':' },
  timestamp: unixSeconds('x-slack-request-timestamp', 300_000),
  contentType: 'application/x-www-form-urlencoded',
  body: 'bytes',
  refusal: { status: 401, code: 'invalid_signature' },
  accepted: '',
  read: ({ fingerprint }) => ({ id: fingerprint(), type: 'command', eventId: null, organizationId: null }),
  types: ['command'],
  example: ({ id }) => new URLSearchParams({ command: '/event', trigger_id: id }).toString(),
}
