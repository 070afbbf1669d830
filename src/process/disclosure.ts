import { constants } from 'node:os'

/** What logs, stored errors, pages, commands and captured payloads may show in production: only what is listed here. */

/** An error whose message is a text of this source code and holds no input: its message may leave. */
export abstract class FixedTextError extends Error {}

/** The names of the errors of an AbortSignal, which have one class. */
const DOM_NAMES: ReadonlySet<string> = new Set(['AbortError', 'TimeoutError'])
const CLASS_NAME = /^[A-Za-z_$][\w$]{0,60}$/

/** The name of the error's class in the source code: `error.name` may have been set from input. */
export function classOf(error: object): string {
  if (error instanceof DOMException && DOM_NAMES.has(error.name)) return error.name
  const { constructor: made } = Object.getPrototypeOf(error) as { constructor?: unknown }
  const name = typeof made === 'function' ? made.name : ''
  return CLASS_NAME.test(name) ? name : 'Error'
}

/** Codes of the operating system, of name resolution, and of TLS where the certificate is the reason. */
const SYSTEM_CODES: ReadonlySet<string> = new Set([
  ...Object.keys(constants.errno),
  ...['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'ETIMEOUT', 'EPROTO'],
  ...['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN'],
  ...['UNABLE_TO_GET_ISSUER_CERT', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
])
/** The form of codes of Node, undici and Fastify. */
const LIBRARY_CODE = /^(ERR|UND_ERR|FST_ERR)_[A-Z0-9_]{2,60}$/

export const isErrorCode = (code: unknown): code is string =>
  typeof code === 'string' && (SYSTEM_CODES.has(code) || LIBRARY_CODE.test(code))

/** Members whose names a captured payload may show: those that Revento documents, and those of the sandbox's rows. */
export const MEMBER_NAMES: ReadonlySet<string> = new Set(
  `id type occurred_at event_id organization_id data participant_id application_id user_id approver_id reviewer_id
  last_reviewer_id activity_id thread_id thread_ids location_id wave_id status application_status publish_status state
  role min_age last_review_action capacity_state reason name first_name last_name display_name email phone avatar_url
  title description custom_form_fields submitted_at approved_at rejected_at revision_requested_at registered_at
  last_reviewed_at created_at updated_at starts_at ends_at opens_at closes_at capacity signups amount amount_cents price
  currency total count quantity position sequence version building floor participant application activity event
  organization changes participants applications activities`.split(/\s+/),
)

/** Members in which everything, names included, comes from organizers or participants. */
export const OPEN_MEMBERS: ReadonlySet<string> = new Set(['custom_form_fields'])

/** Members whose value is one of WORDS: states, roles and types that Revento names. */
export const WORD_MEMBERS: ReadonlySet<string> = new Set(
  `type status application_status publish_status state role min_age last_review_action capacity_state reason`.split(
    /\s+/,
  ),
)
export const WORDS: ReadonlySet<string> = new Set(
  `pending approved rejected revision_requested published draft scheduled cancelled available nearly_full full waitlisted
  attendee speaker volunteer exhibitor staff organizer age_all age_18_plus connection_ended`.split(/\s+/),
)

/** Members that count things and are no personal data: their digits stay as they were signed. */
export const COUNTS: ReadonlySet<string> = new Set(
  'capacity signups amount amount_cents price total count quantity position sequence version'.split(' '),
)

/** Members that say when something happened in Revento. */
export const MOMENTS: ReadonlySet<string> = new Set(
  `occurred_at submitted_at approved_at rejected_at revision_requested_at registered_at last_reviewed_at created_at
  updated_at starts_at ends_at opens_at closes_at`.split(/\s+/),
)

/** The prefixes that ids keep in a captured payload, so that their kind can be seen. */
export const ID_PREFIXES: ReadonlySet<string> = new Set(
  'evt_delivery evt org ptp app usr act thr loc wave day'.split(' '),
)
