import type { Provider } from '../../../src/webhooks/verify/provider.ts'

/** "sha256=" + hex(HMAC-SHA256(secret, raw body)); the type and the id stand in headers that nobody signs. */
export const github: Provider = {
  name: 'github',
  secret: {
    variable: 'GITHUB_WEBHOOK_SECRET',
    // Their own example has spaces.
    form: '^[!-~][ -~]{6,510}[!-~]$',
    says: 'the secret of the webhook at GitHub: 8 to 512 characters',
    sandbox: 'sandbox-github-secret-for-development-only',
  },
  signature: { header: 'x-hub-signature-256', prefix: 'sha256=', algorithm: 'sha256', encoding: 'hex' },
  signed: { parts: [], separator: '' },
  deliveryIdHeader: 'x-github-delivery',
  unsignedTypeHeader: 'x-github-event',
  contentType: 'application/json',
  body: 'json',
  refusal: { status: 401, code: 'invalid_signature' },
  accepted: 'ok',
  acceptedStatus: 202,
  read: ({ unsignedType, fingerprint }) =>
    unsignedType === null
      ? undefined
      : { id: fingerprint(), type: unsignedType, eventId: null, organizationId: null },
  types: ['ping', 'push', 'pull_request'],
  openTypes: true,
  example: ({ id }) => JSON.stringify({ zen: 'Keep it logically awesome.', hook_id: id }),
}
