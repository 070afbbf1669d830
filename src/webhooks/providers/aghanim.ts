import { isName, membersOf, type Provider, SECRET_FORM } from '../verify/provider.ts'

/**
 * hex(HMAC-SHA256(secret, timestamp + "." + raw body)). Neither the timestamp's unit nor whether a retry is signed anew
 * is documented, so its age is not judged: set `windowMs` to 300_000 to judge it. A replay gets the first answer again.
 * The answer matters: 2xx approves what was asked, 4xx and 5xx deny it.
 */
export const aghanim: Provider = {
  name: 'aghanim',
  secret: {
    variable: 'AGHANIM_WEBHOOK_SECRET',
    form: SECRET_FORM,
    says: 'the S2S key from Aghanim: 8 to 512 visible characters, no spaces',
    sandbox: 'sandbox-aghanim-secret-for-development-only',
  },
  signature: { header: 'x-aghanim-signature', prefix: '', algorithm: 'sha256', encoding: 'hex' },
  signed: { parts: ['timestamp'], separator: '.' },
  timestamp: {
    header: 'x-aghanim-signature-timestamp',
    form: /^\d{10}(\d{3})?$/,
    toMs: text => (text.length === 10 ? Number(text) * 1000 : Number(text)),
    fromMs: ms => String(Math.floor(ms / 1000)),
    windowMs: undefined,
  },
  contentType: 'application/json',
  body: 'json',
  refusal: { status: 403, code: 'invalid_signature' },
  accepted: { status: 'ok' },
  inline: true,
  read({ json }) {
    const { event_id, event_type, idempotency_key = null } = membersOf(json)
    if (!isName(event_id) || !isName(event_type)) return undefined
    if (idempotency_key !== null && !isName(idempotency_key)) return undefined
    // An action with the same idempotency key is executed once, whatever event carries it.
    const answerKey = idempotency_key === null ? `event ${event_id}` : `key ${idempotency_key}`
    return { id: event_id, type: event_type, eventId: null, organizationId: null, answerKey }
  },
  types: [
    'player.verify',
    'item.add',
    'item.remove',
    'order.paid',
    'order.canceled',
    'order.refunded',
    'coupon.redeemed',
    'ingame.push',
    'ingame.popup',
  ],
  dataMember: 'event_data',
  example: ({ type, id, at }) =>
    JSON.stringify({
      event_id: `whevt_${id}`,
      event_type: type,
      event_time: Math.floor(at / 1000),
      idempotency_key: null,
      event_data: { player_id: 'testplayer' },
      context: null,
    }),
}
