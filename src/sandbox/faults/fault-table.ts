/** Where a fault strikes: the token endpoint, the read API, or a webhook on its way out. */
export type Door = 'token' | 'api' | 'webhook'

/** What a fault changes. Each door reads the members that concern it; several may be set. */
export interface Effect {
  /** HTTP doors: the request gets this answer, and nothing is processed. */
  readonly answer?: { readonly status: number; readonly error: string; readonly retryAfterS?: number }
  /** HTTP doors: the finished answer is sent that much later. */
  readonly delayMs?: number
  /** HTTP doors: the connection is cut in place of the answer, or in its middle. */
  readonly cut?: 'whole' | 'half'
  /** API: only requests for a later page are struck, those with a cursor. */
  readonly laterPages?: true
  /** Webhooks: the signed timestamp is off by that much. */
  readonly shiftMs?: number
  /** Webhooks: changes the body after it was signed. */
  readonly rewrite?: (body: string) => string
  readonly otherSecret?: true
  /** Webhooks: the same request follows once more. */
  readonly repeat?: true
  /** Webhooks: the delivery waits until another one has overtaken it. */
  readonly hold?: true
  /** Webhooks: the delivery is never sent. */
  readonly lose?: true
  /** Webhooks: others like it are sent at the same moment. */
  readonly burst?: true
}

export interface Fault {
  readonly name: string
  readonly door: Door
  readonly title: string
  readonly what: string
  /** What a good integration does about it. */
  readonly good: string
  readonly effect: Effect
}

const SLOW_MS = 5000
const SILENT_MS = 120_000
const MINUTES_10 = 600_000
const REFUSES = 'Refuses it with 401; the next attempt, in order again, is taken.'

/** Every bad day there is, by its door. A new one is a new entry. */
const TABLE: Readonly<Record<Door, Readonly<Record<string, Omit<Fault, 'name' | 'door'>>>>> = {
  token: {
    token_500: {
      title: 'Token endpoint answers 500',
      what: 'Nothing is processed; the refresh token stays unused.',
      good: 'Keeps its tokens, waits, tries again.',
      effect: { answer: { status: 500, error: 'server_error' } },
    },
    token_slow: {
      title: 'Token endpoint is slow',
      what: 'The answer comes five seconds late.',
      good: 'Every request waits for the one refresh under way; none starts a second.',
      effect: { delayMs: SLOW_MS },
    },
    token_dropped: {
      title: 'Token answer gets lost',
      what: 'The request is processed, then the connection is cut: the new tokens are lost and the old one is spent.',
      good: 'Asks again a few seconds later; after invalid_grant asks the organizer to connect again and says why.',
      effect: { cut: 'whole' },
    },
    token_invalid_client: {
      title: 'Token endpoint refuses the client',
      what: '401 invalid_client, as after a secret was rotated on one side only.',
      good: 'Says so to its operator, keeps the connection, tries again later.',
      effect: { answer: { status: 401, error: 'invalid_client' } },
    },
  },
  api: {
    api_expired: {
      title: 'API says token_expired',
      what: '401 for a token that may still have time left.',
      good: 'Refreshes once and repeats the call once; a second refusal does not loop.',
      effect: { answer: { status: 401, error: 'token_expired' } },
    },
    api_revoked: {
      title: 'API says token_revoked',
      what: '401: permanent by the guide, though here the next answer would be a good one.',
      good: 'Ends the connection without a refresh, and shows how to connect again.',
      effect: { answer: { status: 401, error: 'token_revoked' } },
    },
    api_rate_limited: {
      title: 'API answers 429 with Retry-After',
      what: 'rate_limit_exceeded, to come back in three seconds.',
      good: 'Sends nothing with this token for three seconds, then goes on.',
      effect: { answer: { status: 429, error: 'rate_limit_exceeded', retryAfterS: 3 } },
    },
    api_concurrent: {
      title: 'API answers 429 without Retry-After',
      what: 'concurrent_limit_exceeded: too many calls at once.',
      good: 'Tries again after a moment.',
      effect: { answer: { status: 429, error: 'concurrent_limit_exceeded' } },
    },
    api_page_limited: {
      title: 'API answers 429 in the middle of a list',
      what: 'As above, but only to a request with a cursor: the first pages were read already.',
      good: 'Waits, goes on at the same cursor, and does not take what it has for the whole list.',
      effect: { answer: { status: 429, error: 'rate_limit_exceeded', retryAfterS: 3 }, laterPages: true },
    },
    api_cursor_refused: {
      title: 'API refuses a cursor',
      what: '400 invalid_cursor to a request for a later page, as for a cursor that is too old.',
      good: 'Reads the list again from its first page, and removes nobody for it.',
      effect: { answer: { status: 400, error: 'invalid_cursor' }, laterPages: true },
    },
    api_500: {
      title: 'API answers 500',
      what: 'An error of the platform.',
      good: 'Repeats the call a few times with pauses, then says that Revento cannot be reached.',
      effect: { answer: { status: 500, error: 'internal_error' } },
    },
    api_slow: {
      title: 'API is slow',
      what: 'The answer comes five seconds late.',
      good: 'Waits, but not for ever, and still answers others.',
      effect: { delayMs: SLOW_MS },
    },
    api_silent: {
      title: 'API never answers',
      what: 'The answer would come after two minutes.',
      good: 'Gives up after ten seconds, says so, and goes on with everything else.',
      effect: { delayMs: SILENT_MS },
    },
    api_truncated: {
      title: 'API answer breaks off',
      what: 'Half of the body comes, then the connection is cut.',
      good: 'Uses nothing of it and repeats the call.',
      effect: { cut: 'half' },
    },
  },
  webhook: {
    webhook_duplicate: {
      title: 'Webhook comes twice',
      what: 'The same delivery with the same id follows at once.',
      good: 'Acknowledges both and runs its handler once.',
      effect: { repeat: true },
    },
    webhook_lost: {
      title: 'Webhook never comes',
      what: 'It is not sent at all, and ends among the dead letters.',
      good: 'Finds what happened by comparing its copy with the API, and tells its handlers then.',
      effect: { lose: true },
    },
    webhook_out_of_order: {
      title: 'Webhook is overtaken',
      what: 'It waits until a later delivery has gone out, twenty seconds at most.',
      good: 'Compares occurred_at and lets old news change nothing.',
      effect: { hold: true },
    },
    webhook_stale: {
      title: 'Webhook is ten minutes old',
      what: 'Correctly signed with a timestamp of ten minutes ago, as a replay has.',
      good: REFUSES,
      effect: { shiftMs: -MINUTES_10 },
    },
    webhook_future: {
      title: 'Webhook is ten minutes ahead',
      what: 'Correctly signed with a timestamp ten minutes ahead.',
      good: REFUSES,
      effect: { shiftMs: MINUTES_10 },
    },
    webhook_tampered: {
      title: 'Webhook is altered on the way',
      what: 'Something is added to the body after it was signed.',
      good: REFUSES,
      effect: { rewrite: body => body.replace(/\}?\s*$/, ending => `,"tampered":true${ending}`) },
    },
    webhook_reserialised: {
      title: 'Webhook is re-serialised on the way',
      what: 'The same JSON, written anew with other whitespace after it was signed, as a proxy might do.',
      good: REFUSES,
      effect: { rewrite: reserialise },
    },
    webhook_wrong_secret: {
      title: 'Webhook is signed with another secret',
      what: 'As after a rotation on one side only, or when an attacker guesses.',
      good: REFUSES,
      effect: { otherSecret: true },
    },
    webhook_burst: {
      title: 'Webhooks come in a burst',
      what: 'Each delivery brings others like it, all at the same moment, each with ids of its own.',
      good: 'Stores and acknowledges every one within ten seconds.',
      effect: { burst: true },
    },
  },
}

export const FAULTS: readonly Fault[] = (['token', 'api', 'webhook'] as const).flatMap(door =>
  Object.entries(TABLE[door]).map(([name, fault]) => ({ name, door, ...fault })),
)

export const findFault = (name: string): Fault | undefined => FAULTS.find(fault => fault.name === name)

/** A body that is no JSON gets a space instead, which breaks the signature as well. */
function reserialise(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return `${body} `
  }
}
