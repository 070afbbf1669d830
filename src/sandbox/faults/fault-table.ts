/** Where a fault strikes: the token endpoint, the read API, or a webhook on its way out. */
export type Door = 'token' | 'api' | 'webhook'

/** What a fault changes. Each door reads the members that concern it; several may stand together. */
export interface Effect {
  /** HTTP doors: the answer is this, and nothing is processed. */
  readonly answer?: { readonly status: number; readonly error: string; readonly retryAfterS?: number }
  /** HTTP doors: the finished answer waits that long. */
  readonly delayMs?: number
  /** HTTP doors: the finished answer is not sent, or only its first half, and the connection is cut. */
  readonly cut?: 'whole' | 'half'
  /** Webhooks: how far the signed timestamp is off. */
  readonly shiftMs?: number
  /** Webhooks: what happens to the body after it was signed. */
  readonly rewrite?: (body: string) => string
  readonly otherSecret?: true
  /** Webhooks: the same request follows once more. */
  readonly repeat?: true
  /** Webhooks: waits until another delivery has overtaken it. */
  readonly hold?: true
  /** Webhooks: comes together with others like it. */
  readonly burst?: true
}

export interface Fault {
  readonly name: string
  readonly door: Door
  readonly title: string
  /** What it does, and what a good integration does about it. */
  readonly what: string
  readonly good: string
  readonly effect: Effect
}

const SLOW_MS = 5000
const SILENT_MS = 120_000
const MINUTES_10 = 600_000
const REFUSES = 'Refuses it with 401; the next attempt, in order again, is taken.'

/** Every bad day there is. A new one is a new row. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'token_500',
    door: 'token',
    title: 'Token endpoint answers 500',
    what: 'Nothing is processed; the refresh token stays unused.',
    good: 'Keeps its tokens, waits, tries again.',
    effect: { answer: { status: 500, error: 'server_error' } },
  },
  {
    name: 'token_slow',
    door: 'token',
    title: 'Token endpoint is slow',
    what: 'The answer comes five seconds late.',
    good: 'Everybody waits for the one refresh under way; nobody starts a second.',
    effect: { delayMs: SLOW_MS },
  },
  {
    name: 'token_dropped',
    door: 'token',
    title: 'Token answer gets lost',
    what: 'The request is processed, then the connection is cut: the new tokens are lost and the old one is spent.',
    good: 'Asks again a few seconds later; told invalid_grant, asks the organizer to connect again and says why.',
    effect: { cut: 'whole' },
  },
  {
    name: 'token_invalid_client',
    door: 'token',
    title: 'Token endpoint refuses the client',
    what: '401 invalid_client, as after a secret was rotated on one side only.',
    good: 'Tells its operator, keeps the connection, tries again later.',
    effect: { answer: { status: 401, error: 'invalid_client' } },
  },
  {
    name: 'api_expired',
    door: 'api',
    title: 'API says token_expired',
    what: '401 for a token that may still have time left.',
    good: 'Refreshes once and repeats the call once; a second refusal does not loop.',
    effect: { answer: { status: 401, error: 'token_expired' } },
  },
  {
    name: 'api_revoked',
    door: 'api',
    title: 'API says token_revoked',
    what: '401: permanent by the guide, though here the next answer would be a good one.',
    good: 'Ends the connection without a refresh, and shows how to connect again.',
    effect: { answer: { status: 401, error: 'token_revoked' } },
  },
  {
    name: 'api_rate_limited',
    door: 'api',
    title: 'API answers 429 with Retry-After',
    what: 'rate_limit_exceeded, to come back in three seconds.',
    good: 'Sends nothing with this token for three seconds, then goes on.',
    effect: { answer: { status: 429, error: 'rate_limit_exceeded', retryAfterS: 3 } },
  },
  {
    name: 'api_concurrent',
    door: 'api',
    title: 'API answers 429 without Retry-After',
    what: 'concurrent_limit_exceeded: too many calls at once.',
    good: 'Tries again after a moment.',
    effect: { answer: { status: 429, error: 'concurrent_limit_exceeded' } },
  },
  {
    name: 'api_500',
    door: 'api',
    title: 'API answers 500',
    what: 'An error of the platform.',
    good: 'Repeats the call a few times with pauses, then says that Revento cannot be reached.',
    effect: { answer: { status: 500, error: 'internal_error' } },
  },
  {
    name: 'api_slow',
    door: 'api',
    title: 'API is slow',
    what: 'The answer comes five seconds late.',
    good: 'Waits, but not for ever, and still answers others.',
    effect: { delayMs: SLOW_MS },
  },
  {
    name: 'api_silent',
    door: 'api',
    title: 'API never answers',
    what: 'The answer would come after two minutes.',
    good: 'Gives up after ten seconds, says so, and goes on with everything else.',
    effect: { delayMs: SILENT_MS },
  },
  {
    name: 'api_truncated',
    door: 'api',
    title: 'API answer breaks off',
    what: 'Half of the body comes, then the connection is cut.',
    good: 'Uses nothing of it and repeats the call.',
    effect: { cut: 'half' },
  },
  {
    name: 'webhook_duplicate',
    door: 'webhook',
    title: 'Webhook comes twice',
    what: 'The same delivery with the same id follows at once.',
    good: 'Acknowledges both and runs its handler once.',
    effect: { repeat: true },
  },
  {
    name: 'webhook_out_of_order',
    door: 'webhook',
    title: 'Webhook is overtaken',
    what: 'It waits until a later delivery has gone out, twenty seconds at most.',
    good: 'Compares occurred_at and lets old news change nothing.',
    effect: { hold: true },
  },
  {
    name: 'webhook_stale',
    door: 'webhook',
    title: 'Webhook is ten minutes old',
    what: 'Correctly signed with a timestamp of ten minutes ago, as a replay has.',
    good: REFUSES,
    effect: { shiftMs: -MINUTES_10 },
  },
  {
    name: 'webhook_future',
    door: 'webhook',
    title: 'Webhook is ten minutes ahead',
    what: 'Correctly signed with a timestamp ten minutes ahead.',
    good: REFUSES,
    effect: { shiftMs: MINUTES_10 },
  },
  {
    name: 'webhook_tampered',
    door: 'webhook',
    title: 'Webhook is altered on the way',
    what: 'Something is added to the body after it was signed.',
    good: REFUSES,
    effect: { rewrite: body => body.replace(/\}?\s*$/, ending => `,"tampered":true${ending}`) },
  },
  {
    name: 'webhook_reserialised',
    door: 'webhook',
    title: 'Webhook is re-serialised on the way',
    what: 'The same JSON, written anew with other whitespace after it was signed, as a proxy might do.',
    good: REFUSES,
    effect: { rewrite: reserialise },
  },
  {
    name: 'webhook_wrong_secret',
    door: 'webhook',
    title: 'Webhook is signed with another secret',
    what: 'As after a rotation on one side only, or by somebody who guesses.',
    good: REFUSES,
    effect: { otherSecret: true },
  },
  {
    name: 'webhook_burst',
    door: 'webhook',
    title: 'Webhooks come in a burst',
    what: 'Each delivery brings others like it, all at the same moment, each with ids of its own.',
    good: 'Stores and acknowledges every one within ten seconds.',
    effect: { burst: true },
  },
]

export const findFault = (name: string): Fault | undefined => FAULTS.find(fault => fault.name === name)

/** What is no JSON gets a space: that breaks the signature as well. */
function reserialise(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return `${body} `
  }
}
