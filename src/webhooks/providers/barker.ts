import type { Provider } from '../verify/provider.ts'

/**
 * hex(HMAC-MD5(key, timestamp + ";" + data)), the timestamp being Python's str(time.time()). MD5 because the library
 * relied on the default of an older Python's hmac; nothing else here uses it. Any content, no Content-Type and no type:
 * every delivery is a `message`. The headers have underscores, which some proxies drop.
 */
export const barker: Provider = {
  name: 'barker',
  secret: {
    variable: 'BARKER_WEBHOOK_SECRET',
    form: '^[!-~]{1,512}$',
    says: 'the key given to Barker, not its default: 1 to 512 visible characters, no spaces',
    // The library's own default.
    sandbox: 'BARKER',
  },
  signature: { header: 'barker_signature', prefix: '', algorithm: 'md5', encoding: 'hex' },
  signed: { parts: ['timestamp'], separator: ';' },
  timestamp: {
    header: 'barker_timestamp',
    form: /^\d{10}\.\d{1,7}$/,
    toMs: text => Number(text) * 1000,
    fromMs: ms => (Number.isInteger(ms / 1000) ? `${ms / 1000}.0` : String(ms / 1000)),
    windowMs: 300_000,
  },
  anyContentType: true,
  body: 'bytes',
  refusal: { status: 401, code: 'invalid_signature' },
  accepted: 'ok',
  read: ({ fingerprint }) => ({ id: fingerprint(), type: 'message', eventId: null, organizationId: null }),
  types: ['message'],
  example: ({ id }) => JSON.stringify({ hello: 'world', id }),
}
