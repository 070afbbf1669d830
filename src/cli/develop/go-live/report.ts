import type { Config } from '../../../config/settings.ts'
import { handlers } from '../../../integration/handlers/index.ts'
import { DELETION_REQUIRED } from '../../../revento/platform.ts'
import { GRANT_TABLES } from '../../../storage/grants.ts'
import { tablesOf } from '../../../storage/migrate.ts'
import { reading } from '../../store.ts'
import type { Finding, Scene } from './scene.ts'
import type { Delivered } from './webhook.ts'

/** A point of Revento's checklist before a launch, as far as its guide shows it. */
interface Point {
  readonly statement: string
  /** `shown`: this run saw it at this deployment. `tested`: only the tests and the drill can show it. */
  readonly status: 'shown' | 'tested' | 'failed'
  readonly evidence: string
}

export async function checklist(scene: Scene, delivered: Delivered | undefined): Promise<Point[]> {
  const { refusesUnsigned, refusesWrong, refusesStale, acknowledgedMs, repeated } = delivered ?? {}
  const live = (statement: string, seen: boolean | undefined, now: string, otherwise: string): Point => ({
    statement,
    status: seen ? 'shown' : 'failed',
    evidence: `${seen ? now : 'not shown through the public URL'}; ${otherwise}`,
  })
  return [
    live(
      'a missing or wrong signature is refused',
      refusesUnsigned && refusesWrong,
      'both answered 401 now',
      'test/webhooks/receive-refusals.test.ts',
    ),
    await tokensSealed(scene),
    tested(
      'a new refresh token is stored before it is used',
      'npm run drill -- --only lost_answer --only kill_in_refresh; src/oauth/refresh.ts',
    ),
    tested(
      'callers at once cause one refresh',
      'npm run drill -- --only expired; test/journeys/refresh-processes.test.ts',
    ),
    tested(
      'invalid_grant ends the connection, and no refresh follows',
      'npm run drill -- --only invalid_grant; test/oauth/refresh.test.ts',
    ),
    tested(
      'token_expired and token_revoked are handled apart',
      'npm run drill -- --only expired --only revoked; src/oauth/access-token.ts',
    ),
    tested(
      'signatures are compared in constant time',
      'src/webhooks/verify/signature.ts (timingSafeEqual); test/webhooks/verify/signature.test.ts',
    ),
    live(
      'a timestamp of more than five minutes ago is refused',
      refusesStale,
      'ten minutes: 401 now',
      'npm run drill -- --only stale --only future',
    ),
    live(
      'a webhook is answered within ten seconds',
      acknowledgedMs !== undefined && acknowledgedMs < 10_000,
      `${acknowledgedMs} ms now`,
      'npm run drill -- --only slow_handler',
    ),
    live(
      'the same delivery id is processed once, and acknowledged twice',
      repeated,
      'done now: ignored, and its duplicate',
      'npm run drill -- --only duplicate',
    ),
    deletionHonoured(),
  ]
}

const tested = (statement: string, evidence: string): Point => ({ statement, status: 'tested', evidence })

/** Reads the stored tokens: one in the clear would show its first letters. */
async function tokensSealed({ config }: Scene): Promise<Point> {
  const statement = 'no token is readable where it is stored'
  const proof = 'test/oauth/secrets-at-rest.test.ts'
  const rows = await reading(config.store, async query => {
    const tables = await tablesOf(query)
    const there = GRANT_TABLES.filter(table => tables.includes(table))
    const columns = ['access_token', 'refresh_token'] as const
    const read = there.map(table =>
      query
        .selectFrom(table as 'connections')
        .select(columns)
        .execute(),
    )
    return (await Promise.all(read)).flat()
  })
  if (!rows) return tested(statement, `no database here yet; ${proof}`)
  const values = rows.flatMap(row => [row.access_token, row.refresh_token]).filter(value => value !== null)
  const clear = values.filter(value => Buffer.from(value).includes('rev_')).length
  const evidence = `${values.length} stored tokens looked at, ${clear} in the clear; ${proof}`
  return { statement, status: clear > 0 ? 'failed' : values.length > 0 ? 'shown' : 'tested', evidence }
}

/** The app itself honours a deletion, whatever is in src/integration. */
const deletionHonoured = (): Point => ({
  statement: `${DELETION_REQUIRED} is honoured`,
  status: 'tested',
  evidence: 'npm run drill -- --only erasure; test/webhooks/dispatch/endings.test.ts',
})

/** The values to register at Revento, byte for byte, and the webhook URLs for the other providers. */
export function registration(config: Config) {
  const others = Object.keys(config.providerSecrets).filter(name => name !== 'revento')
  return {
    redirect_uri: config.redirectUri,
    webhook_url: `${config.origin}/webhooks/revento`,
    webhook_event_types: [...new Set([...Object.keys(handlers.revento), DELETION_REQUIRED])],
    scopes: config.scopes.split(' '),
    other_webhook_urls: [...others, ...(config.verifyToken ? ['handshake'] : [])].map(
      name => `${config.origin}/webhooks/${name}`,
    ),
  }
}

export interface Report {
  readonly register: ReturnType<typeof registration>
  readonly checks: readonly Finding[]
  readonly checklist: readonly Point[]
}

export const failures = ({ checks, checklist }: Report): number =>
  checks.filter(({ status }) => status === 'failed').length +
  checklist.filter(({ status }) => status === 'failed').length

const MARK = { ok: 'ok', shown: 'ok', tested: 'tested', unsure: 'look', failed: 'FAILED' } as const

export function reportText(report: Report): string {
  const { register, checks, checklist } = report
  const lines = [
    'Register at Revento, exactly so:',
    `  redirect URI   ${register.redirect_uri}`,
    `  webhook URL    ${register.webhook_url}`,
    `  scopes         ${register.scopes.join(' ')}`,
    `  event types    ${register.webhook_event_types.join(', ')}`,
    ...register.other_webhook_urls.map(url => `  another sender ${url}`),
    '',
    ...checks.flatMap(({ name, status, said, todo }) => [
      `${MARK[status].padEnd(7)} ${name}: ${said}`,
      ...(todo && status !== 'ok' ? [`        to do: ${todo}`] : []),
    ]),
    '',
    "Revento's checklist before a launch, as far as its guide shows it:",
    ...checklist.map(
      ({ statement, status, evidence }, i) =>
        `${MARK[status].padEnd(7)} ${i + 1}. ${statement} (${evidence})`,
    ),
    '',
    failures(report) === 0
      ? 'Nothing stands in the way here.'
      : `${failures(report)} to mend before going live.`,
  ]
  return lines.join('\n')
}
