import { hash } from 'node:crypto'
import type { HttpAnswer } from './http.ts'
import {
  ACCESS_TOKEN_S,
  INSTALLATION_PREFIX,
  RATE,
  REFRESH_TOKEN_S,
  REQUEST_ID_HEADER,
  USER_RATE,
  USER_SCOPES,
} from './platform.ts'

/**
 * What is compared with the contract: an answer to a token request (`token`), or to a call of the API with the id and the
 * limit that were sent; or the body of a webhook that is refused though rightly signed, which no table has.
 */
export type Seen =
  | { readonly door: 'token'; readonly answer: HttpAnswer }
  | (ApiCall & { readonly door: 'api'; readonly answer: HttpAnswer })
  | { readonly door: 'webhook'; readonly body: unknown }
interface ApiCall {
  readonly path: string
  readonly requestId: string
  readonly limit: number
}
export type Observe = (seen: Seen) => void

/** The forms of values by their names. A difference holds such names and names of members, and never a value. */
const FORMS: Readonly<Record<string, (value: unknown) => boolean>> = {
  anything: () => true,
  'a text': isText,
  'an object': isObject,
  'a list': Array.isArray,
  'true or false': v => typeof v === 'boolean',
  'a text or null': v => v === null || isText(v),
  [`a text that begins with ${INSTALLATION_PREFIX}`]: beginsWith(INSTALLATION_PREFIX),
  'a text that begins with rev_refresh_': beginsWith('rev_refresh_'),
  'the word Bearer': v => v === 'Bearer',
  'an hour in seconds': v => v === ACCESS_TOKEN_S,
  'up to 90 days in seconds': v => typeof v === 'number' && v > 0 && v <= REFRESH_TOKEN_S,
  'scopes with one space between': v => isText(v) && /^[a-z_.]+( [a-z_.]+)*$/.test(v),
  'an id that begins with evt_': beginsWith('evt_'),
  'an id that begins with evt_, or null': v => v === null || beginsWith('evt_')(v),
  'an id that begins with org_': beginsWith('org_'),
  'an id that begins with org_, or null': v => v === null || beginsWith('org_')(v),
  'an id that begins with ptp_': beginsWith('ptp_'),
  'an id that begins with app_': beginsWith('app_'),
  'an id that begins with usr_': beginsWith('usr_'),
  'a time in ISO 8601 with Z': isTime,
  'a time in ISO 8601 with Z, or null': v => v === null || isTime(v),
  'a known status': v => ['pending', 'approved', 'rejected', 'revision_requested'].includes(String(v)),
  'a UUID of version 4': v =>
    isText(v) && /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i.test(v),
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
function beginsWith(prefix: string) {
  return (value: unknown) => isText(value) && value.startsWith(prefix)
}
function isTime(value: unknown): boolean {
  return isText(value) && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(value)
}

/** The members of an object, each with the form of its value; one that ends in `?` need not be there. */
type Members = Readonly<Record<string, string>>

const REFRESHED: Members = {
  refresh_token: 'a text that begins with rev_refresh_',
  token_type: 'the word Bearer',
  expires_in: 'an hour in seconds',
  refresh_expires_in: 'up to 90 days in seconds',
  scope: 'scopes with one space between',
  event_id: 'an id that begins with evt_',
  organization_id: 'an id that begins with org_',
}
const TOKENS: Members = { access_token: `a text that begins with ${INSTALLATION_PREFIX}`, ...REFRESHED }
const USER_TOKENS: Members = {
  access_token: 'a text',
  ...REFRESHED,
  user_id: 'an id that begins with usr_',
}
const TOKEN_ERROR: Members = { error: 'a text', 'error_description?': 'a text' }
const API_ERROR: Members = { error: 'a text', message: 'a text', request_id: 'a UUID of version 4' }
const PAGE: Members = { data: 'a list', next_cursor: 'a text or null', has_more: 'true or false' }
const EVENT: Members = {
  id: 'an id that begins with evt_',
  organization_id: 'an id that begins with org_',
  title: 'a text',
  description: 'a text or null',
  starts_at: 'a time in ISO 8601 with Z',
  ends_at: 'a time in ISO 8601 with Z',
  publish_status: 'a text',
}
const PARTICIPANT: Members = {
  id: 'an id that begins with ptp_',
  application_id: 'an id that begins with app_',
  user_id: 'an id that begins with usr_',
  name: 'a text',
  email: 'a text',
  role: 'a text',
  application_status: 'a known status',
  submitted_at: 'a time in ISO 8601 with Z',
  registered_at: 'a time in ISO 8601 with Z, or null',
  last_reviewed_at: 'a time in ISO 8601 with Z, or null',
  last_reviewer_id: 'a text or null',
  last_review_action: 'a text or null',
  custom_form_fields: 'an object',
}
const PROFILE: Members = { id: 'an id that begins with usr_', name: 'a text', email: 'a text' }
const APPLICATION: Members = {
  id: 'an id that begins with app_',
  event_id: 'an id that begins with evt_',
  application_status: 'a known status',
  role: 'a text',
  registered_at: 'a time in ISO 8601 with Z, or null',
}
export const ENVELOPE: Members = {
  id: 'an id that begins with evt_',
  type: 'a text',
  occurred_at: 'a time in ISO 8601 with Z',
  event_id: 'an id that begins with evt_, or null',
  organization_id: 'an id that begins with org_, or null',
  data: 'an object',
}
/** What the guide shows of an approval's data; the sandbox sends more. */
export const APPROVED: Members = {
  id: 'an id that begins with app_',
  participant_id: 'an id that begins with ptp_',
  user_id: 'an id that begins with usr_',
  status: 'a known status',
  approved_at: 'a time in ISO 8601 with Z',
  approver_id: 'an id that begins with usr_',
  custom_form_fields: 'an object',
}

/** The statuses of the codes that the guide shows. */
const STATUSES: Readonly<Record<string, number>> = {
  invalid_token: 401,
  token_expired: 401,
  token_revoked: 401,
  event_not_authorized: 403,
  user_token_required: 403,
  installation_token_required: 403,
  missing_scope: 403,
  not_found: 404,
  rate_limit_exceeded: 429,
  concurrent_limit_exceeded: 429,
}

/** A hash of the expectations: when they change, differences noted under the old ones do not count any more. */
export const CONTRACT = hash(
  'sha256',
  JSON.stringify([
    ...[TOKENS, USER_TOKENS, TOKEN_ERROR, API_ERROR, PAGE, EVENT, PARTICIPANT, PROFILE, APPLICATION],
    ENVELOPE,
    STATUSES,
  ]),
).slice(0, 12)

/** The form of Revento's own member names. A name of another form may be made of somebody's words. */
const NAME = /^[a-z]{1,24}(_[a-z]{1,24}){0,3}$/
const nameOf = (name: string) => (NAME.test(name) ? name : 'one of another kind of name')

/** Compares one object. `closed`: a member that is not listed is a difference too. */
export function compare(place: string, value: unknown, members: Members, closed = true): string[] {
  if (!isObject(value)) return [`${place} is not an object`]
  const known = Object.entries(members).map(
    ([name, form]) => [name.replace('?', ''), form, name.endsWith('?')] as const,
  )
  const own = (name: string) => Object.hasOwn(value, name)
  return [
    ...known.flatMap(([name, form, isOptional]) => {
      if (!own(name)) return isOptional ? [] : [`${place} has no ${name}`]
      return FORMS[form]?.(value[name]) ? [] : [`${place}: ${name} is not ${form}`]
    }),
    ...Object.keys(value)
      .filter(name => closed && !known.some(([listed]) => listed === name))
      .map(name => `${place} has ${nameOf(name)} too`),
  ]
}

function bodyOf({ text }: HttpAnswer): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Pure: lists where an answer differs from the contract and the sandbox. `place` is the kind of answer. */
export function differencesIn(seen: Seen): { place: string; differences: string[] } {
  if (seen.door === 'webhook')
    return { place: 'webhook', differences: compare('webhook', seen.body, ENVELOPE) }
  const body = bodyOf(seen.answer)
  return seen.door === 'token' ? ofToken(seen.answer, body) : ofApi(seen, body)
}

function ofToken({ status }: HttpAnswer, body: unknown) {
  if (status === 200) {
    const scopes = isObject(body) && isText(body['scope']) ? body['scope'].split(' ') : []
    const isUser = USER_SCOPES.some(scope => scopes.includes(scope))
    const place = isUser ? 'token answer of a sign-in' : 'token answer'
    return { place, differences: compare(place, body, isUser ? USER_TOKENS : TOKENS) }
  }
  const place = 'token error'
  if (status >= 500) return { place, differences: [] }
  const code = codeOf(body)
  const differences = compare(place, body, TOKEN_ERROR)
  if (code === 'invalid_grant' && status !== 400) differences.push(`${place}: invalid_grant is not 400`)
  return { place, differences }
}

function ofApi({ answer, path, requestId, limit }: Seen & { door: 'api' }, body: unknown) {
  const { status, headers } = answer
  const place = placeOf(path)
  const header = (name: string) => String(headers[name] ?? '')
  const differences: string[] = []
  if (header(REQUEST_ID_HEADER) !== requestId) differences.push('answer does not echo the request id')
  if (!header('content-type').startsWith('application/json'))
    differences.push('answer is not application/json')
  differences.push(...ofRate(header))
  if (status === 200) differences.push(...ofBody(place, body, limit))
  else if (status < 500 || isListed(codeOf(body)))
    differences.push(...ofError(status, body, header('retry-after')))
  return { place: status === 200 ? place : 'error', differences }
}

function placeOf(path: string): string {
  const [, me, list] = /^\/(?:(me\/\w+)|events\/[^/]+(?:\/([a-z-]+))?)$/.exec(path) ?? []
  return me ?? list ?? 'event'
}

function ofBody(place: string, body: unknown, limit: number): string[] {
  if (place === 'event') return compare('event', body, EVENT)
  if (place === 'me/profile') return compare('profile', body, PROFILE)
  if (place === 'me/application') return compare('application', body, APPLICATION)
  const differences = compare('page', body, PAGE)
  const rows = isObject(body) && Array.isArray(body['data']) ? body['data'] : []
  if (isObject(body) && body['has_more'] === false && isText(body['next_cursor']))
    differences.push('last page has a next_cursor')
  if (rows.length > limit) differences.push('page has more rows than its limit')
  if (place === 'participants')
    differences.push(...rows.flatMap(row => compare('participant', row, PARTICIPANT)))
  return differences
}

const LIMITS = new Set(
  [RATE, USER_RATE].flatMap(({ perMinute, perHour }) => [perMinute, perHour]).map(String),
)
/** A moment of this century in seconds; a delay has fewer digits, and milliseconds more. */
const SECONDS = /^\d{10}$/

function ofRate(header: (name: string) => string): string[] {
  const [limit, reset] = [header('x-ratelimit-limit'), header('x-ratelimit-reset')]
  return [
    ...['Limit', 'Remaining', 'Reset']
      .filter(name => header(`x-ratelimit-${name.toLowerCase()}`) === '')
      .map(name => `answer has no X-RateLimit-${name}`),
    ...(limit === '' || LIMITS.has(limit) ? [] : ['X-RateLimit-Limit is none of 30, 500, 20, 200']),
    ...(reset === '' || SECONDS.test(reset) ? [] : ['X-RateLimit-Reset is not in seconds since 1970']),
  ]
}

const codeOf = (body: unknown) => (isObject(body) ? body['error'] : undefined)
const isListed = (code: unknown): code is string => isText(code) && Object.hasOwn(STATUSES, code)

function ofError(status: number, body: unknown, retryAfter: string): string[] {
  const differences = compare('error', body, API_ERROR)
  const code = codeOf(body)
  const known = isListed(code) ? STATUSES[code] : undefined
  if (isText(code) && known === undefined) differences.push(`error has the code ${nameOf(code)}`)
  if (known !== undefined && known !== status) differences.push(`error ${String(code)} is not ${known}`)
  if (code === 'rate_limit_exceeded' && !/^\d{1,4}$/.test(retryAfter))
    differences.push('rate_limit_exceeded has no Retry-After in seconds')
  if (code === 'concurrent_limit_exceeded' && retryAfter !== '')
    differences.push('concurrent_limit_exceeded has a Retry-After')
  return differences
}
