import { isName, membersOf, type Provider, SECRET_FORM } from '../verify/provider.ts'

/**
 * "SHA256:" + base64(HMAC-SHA256(secret, raw body)). No timestamp and no id: nothing in the scheme stops a replay, so
 * identical bytes count as one delivery. Neither the shape of a body nor its content type is documented: the type is
 * looked for under the usual names, and a body without one is a `notification`.
 */
export const entrupy: Provider = {
  name: 'entrupy',
  secret: {
    variable: 'ENTRUPY_WEBHOOK_SECRET',
    form: SECRET_FORM,
    says: 'the secret key given to Entrupy: 8 to 512 visible characters, no spaces',
    sandbox: 'sandbox-entrupy-secret-for-development-only',
  },
  signature: { header: 'entrupy-signature', prefix: 'SHA256:', algorithm: 'sha256', encoding: 'base64' },
  signed: { parts: [], separator: '' },
  contentType: 'application/json',
  anyContentType: true,
  body: 'json',
  refusal: { status: 401, code: 'unauthorized' },
  accepted: { status: 'ok' },
  read({ json, fingerprint }) {
    const { event, type, event_type } = membersOf(json)
    const named = [event, type, event_type].find(isName) ?? 'notification'
    return { id: fingerprint(), type: named, eventId: null, organizationId: null }
  },
  types: ['session.completed', 'support.message', 'certificate.transfer'],
  openTypes: true,
  dataMember: 'data',
  example: ({ type, id }) => JSON.stringify({ event: type, data: { id } }),
}
