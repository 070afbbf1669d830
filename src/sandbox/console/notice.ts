import { type Door, findFault } from '../faults/fault-table.ts'
import { one } from '../fields.ts'
import { many, span } from './views.parts.ts'

const SENTENCES = {
  'expire-access-tokens': n =>
    `${many(n, 'access token')} expired. Reload your app's page to see what it makes of it.`,
  'expire-refresh-tokens': n => `${many(n, 'refresh token')} expired. It shows at the next refresh.`,
  'revoke-refresh-tokens': n => `${many(n, 'refresh token')} revoked. It shows at the next refresh.`,
  revoke: n => `${many(n, 'installation')} revoked. Reload your app's page to see what it makes of it.`,
  archive: n => `${many(n, 'installation')} ended, because the event was archived.`,
  suspend: n => `${many(n, 'installation')} ended, because the integration was suspended.`,
  'clock-moved': n => `The sandbox's clock was moved forward by ${span(n * 1000)}.`,
  'clock-reset': () => 'The clock is back at the machine’s time.',
  'fault-started': (_, title, next) => `Started: ${title}.${next}`,
  'faults-cleared': n => `${many(n, 'bad day')} ended.`,
  'webhook-sent': n => (n === 1 ? 'The webhook is on its way.' : `${n} webhooks are on their way.`),
  'webhook-resent': () => 'The webhook is on its way again.',
} as const satisfies Record<string, (count: number, title: string, next: string) => string>

type Code = keyof typeof SENTENCES

/** What makes a bad day at that door show. */
const NEXT: Record<Door, string> = {
  token: " Expire the access token, then reload your app's page.",
  api: " Reload your app's page.",
  webhook: ' Now send a webhook.',
}

/** What an action has to say, carried through the redirect as codes, so that no link can make a page say anything. */
export interface Notice {
  readonly done: Code
  readonly count: number
  /** A fault or a delivery; also the place on the page to go to. */
  readonly what?: string
}

export function withNotice(page: string, { done, count, what }: Notice): string {
  return `${page}?done=${done}&count=${count}${what ? `&what=${what}#${what}` : ''}`
}

const isCode = (text: string): text is Code => Object.hasOwn(SENTENCES, text)

export function noticeIn(query: unknown): string | undefined {
  const [done, count] = [one(query, 'done') ?? '', one(query, 'count') ?? '']
  const fault = findFault(one(query, 'what') ?? '')
  const [title, next] = fault ? [fault.title, NEXT[fault.door]] : ['a bad day', '']
  return isCode(done) && /^\d{1,9}$/.test(count) ? SENTENCES[done](Number(count), title, next) : undefined
}
