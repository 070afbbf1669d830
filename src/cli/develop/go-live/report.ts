import type { Config } from '../../../config/settings.ts'
import { handlers } from '../../../integration/handlers/index.ts'
import type { Point } from './checklist.ts'
import type { Finding } from './finding.ts'

/** What to give Revento, byte for byte. */
export interface Registration {
  readonly redirect_uri: string
  readonly webhook_url: string
  readonly webhook_event_types: readonly string[]
  readonly scopes: readonly string[]
  /** For whoever else sends: theirs. */
  readonly other_webhook_urls: readonly string[]
}

export function registration(config: Config): Registration {
  const others = Object.keys(config.providerSecrets).filter(name => name !== 'revento')
  return {
    redirect_uri: config.redirectUri,
    webhook_url: `${config.origin}/webhooks/revento`,
    webhook_event_types: Object.keys(handlers.revento),
    scopes: config.scopes.split(' '),
    other_webhook_urls: [...others, ...(config.verifyToken ? ['handshake'] : [])].map(
      name => `${config.origin}/webhooks/${name}`,
    ),
  }
}

export interface Report {
  readonly register: Registration
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
