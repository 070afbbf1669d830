import type { Config } from '../../../config/settings.ts'
import { APPROVED, CONTRACT, compare, ENVELOPE } from '../../../revento/drift.ts'
import { EVENT_TYPES } from '../../../revento/platform.ts'
import type { Queries } from '../../../storage/database.ts'
import { tablesOf } from '../../../storage/migrate.ts'
import { SELF_TEST } from '../../../webhooks/verify/provider.ts'
import { readStore } from '../../store.ts'

/** How Revento was seen to differ from what is expected. All texts are this program's: none has a value of Revento's. */
export interface PlatformReport {
  readonly platform: Config['mode']
  readonly seen: readonly string[]
  readonly differences: readonly Difference[]
}

interface Difference {
  readonly said: string
  readonly assumed: string
  readonly breaks: string
}

/** Each line has a kind of difference, the file that assumes otherwise, and what would break. The first that fits counts. */
const ASSUMED = String.raw`
^token answer.*(access_token|token_type) | src/revento/token-outcome.ts | a consent or a refresh ends without tokens, or a sign-in is taken for a connection
^token answer.*refresh_token | src/oauth/token-columns.ts | the spent refresh token is kept, and the next refresh ends the connection
^token answer.*expires_in | src/oauth/token-columns.ts | ends are computed wrongly: warnings come too early or too late; Revento’s answers still decide
^token answer.*scope | src/oauth/access-token.ts | calls are refused or sent without knowing whether they are allowed
^token answer.*(event_id|organization_id|user_id) | src/revento/token-outcome.ts | connections are kept under other ids, or refused
^token error | src/revento/token-outcome.ts | a refusal for good may count as one that passes, or the other way round
^token answer | src/sandbox/oauth/tokens.ts | nothing: it is not read
request id | src/revento/request.ts | logs of both sides cannot be joined by the request id
X-RateLimit | src/revento/rate-headers.ts | the limits are counted by this app alone, and a 429 may come first
Retry-After | src/revento/rate-headers.ts | a pause is guessed, and may be too short
application/json | src/revento/request.ts | nothing as long as the body is JSON; a proxy may stand between
^page has more rows | src/revento/pages.ts | nothing: every row is taken, with more memory than was reckoned with
page|next_cursor | src/revento/pages.ts | a list whose next page is named otherwise ends with upstream_error; a null that is missing is harmless
^error has no request_id | src/revento/request.ts | nothing here: the app logs the id that it sent
^error .*(token_|invalid_token) | src/oauth/access-token.ts | a token is not refreshed, or a connection not ended, where it should be
^error | src/revento/api-error.ts | handlers that branch on its code do not meet it
^(event|participant|profile|application)\b.*too$ | src/sandbox/api/participants.ts | nothing: rows pass as they are; the sandbox does not show it
^(event|participant|profile|application)\b | src/revento/platform.ts | the pages, the copy of the participants, and handlers that read this member
^webhook.* too$ | src/webhooks/providers/revento.ts | nothing: it reaches handlers as it is
^webhook.*(type|event type) | src/revento/platform.ts | it is stored as ignored: list it in src/integration/event-types.ts to handle it
^webhook.*delivery id | src/webhooks/inbox/dedupe.ts | repeats are still known by any id that stays the same
^webhook.*repeat | src/sandbox/webhooks/deliveries.ts | tests against the sandbox wait for other distances
^webhook.*data | src/revento/events.ts | handlers that read this member
^webhook | src/webhooks/providers/revento.ts | deliveries are refused with 400, or their order and owner not known
`
  .trim()
  .split('\n')
  .map(line => {
    const [pattern = '', assumed = '', breaks = ''] = line.split(' | ')
    return { pattern: new RegExp(pattern), assumed, breaks }
  })
const OTHERWISE = { assumed: 'src/revento/platform.ts', breaks: 'what reads it' }

const NEEDED = [
  'token answer',
  'token error',
  'event',
  'participants',
  'error',
  'webhook',
  'repeated webhook',
]

export async function platformReport({
  store,
  mode,
}: Pick<Config, 'store' | 'mode'>): Promise<PlatformReport> {
  const said = await readStore(store, async query => {
    const noted = (await tablesOf(query)).includes('platform_drift')
      ? await query
          .selectFrom('platform_drift')
          .select('said')
          .where('platform', '=', mode)
          .where('contract', '=', CONTRACT)
          .execute()
      : []
    return [...noted.map(row => row.said), ...(await ofWebhooks(query, mode))]
  })
  const isSeen = (text: string) => text.startsWith('seen: ')
  const differences = [...new Set(said.filter(text => !isSeen(text)))].toSorted().map(text => {
    const { assumed, breaks } = ASSUMED.find(({ pattern }) => pattern.test(text)) ?? OTHERWISE
    return { said: text, assumed, breaks }
  })
  const seen = [...new Set(said.filter(isSeen).map(text => text.slice('seen: '.length)))].toSorted()
  return { platform: mode, seen, differences }
}

const NEWEST = 1_000

/** Compares the stored webhooks with the contract, so that nothing has to be noted while they arrive. */
async function ofWebhooks(query: Queries, platform: Config['mode']): Promise<string[]> {
  const rows = await query
    .selectFrom('inbox')
    .select(['id', 'delivery_id', 'type', 'received_at', 'duplicate_of', 'body'])
    .where('provider', '=', 'revento')
    .where('platform', '=', platform)
    .where('type', '<>', SELF_TEST)
    .orderBy('id', 'desc')
    .limit(NEWEST)
    .execute()
  const bodies = rows.flatMap(({ body, type }) => (body ? [{ body: parsed(body), type }] : []))
  const isUuid = (id: string | null) => compare('', { id }, { id: 'a UUID of version 4' }).length === 0
  return [
    ...(bodies.length > 0 ? ['seen: webhook'] : []),
    ...bodies.flatMap(({ body }) => compare('webhook', body, ENVELOPE)),
    ...bodies
      .filter(({ type }) => type === 'application.approved')
      .flatMap(({ body }) =>
        compare('webhook data of application.approved', Object(body).data, APPROVED, false),
      ),
    ...rows
      .filter(({ type }) => !EVENT_TYPES.some(known => known === type))
      .map(
        ({ type }) =>
          `webhook has the event type ${/^[a-z_]{1,40}\.[a-z_]{1,40}$/.test(type) ? type : 'of another form'}`,
      ),
    ...rows
      .filter(row => !isUuid(row.delivery_id))
      .map(() => 'webhook: delivery id is not a UUID of version 4'),
    ...ofRepeats(rows),
  ]
}

/** The sandbox's pauses between attempts; an attempt itself takes up to ten seconds. */
const DISTANCES_S = [1, 2, 4, 8, 16, 30, 60]
const ATTEMPT_S = 10

function ofRepeats(
  rows: readonly { id: number; delivery_id: string | null; received_at: number }[],
): string[] {
  const byDelivery = Map.groupBy(
    rows.filter(row => row.delivery_id !== null),
    row => row.delivery_id,
  )
  const gaps = [...byDelivery.values()].flatMap(times => {
    const at = times.map(row => row.received_at).toSorted((a, b) => a - b)
    return at.slice(1).map((moment, n) => (moment - (at[n] ?? moment)) / 1000)
  })
  const isKnown = (gap: number) =>
    DISTANCES_S.some(distance => gap >= distance * 0.9 && gap <= distance + ATTEMPT_S)
  return [
    ...(gaps.length > 0 ? ['seen: repeated webhook'] : []),
    ...(gaps.some(gap => gap > 300) ? ['seen: repeated webhook after more than 300 s, so signed anew'] : []),
    ...(gaps.every(isKnown)
      ? []
      : ['webhook: a repeat comes at none of the distances 1, 2, 4, 8, 16, 30, 60 s']),
  ]
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString())
  } catch {
    return undefined
  }
}

export function platformText({ platform, seen, differences }: PlatformReport): string {
  const missing = NEEDED.filter(place => !seen.includes(place))
  const which = platform === 'real' ? 'Revento' : 'the sandbox'
  return [
    `How ${which} answers, of what has passed so far (${seen.join('; ') || 'nothing yet'}):`,
    '',
    ...differences.flatMap(({ said, assumed, breaks }, n) => [
      `${n + 1}. ${said}`,
      `   assumed otherwise in ${assumed}; it would break: ${breaks}`,
    ]),
    differences.length === 0 ? 'Nothing is different from what this app expects.' : '',
    ...(missing.length > 0 ? [`Not seen yet: ${missing.join(', ')}. It is learned when it passes.`] : []),
    'It holds names of members, error codes, event types and forms, and no value: look that no member is named after somebody before you send it to whoever maintains the template.',
  ].join('\n')
}
