import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'

/**
 * Everything that the sandbox remembers, as plain data. Codes and tokens are stored by their SHA-256 only. An
 * installation is one consent: its tokens form the family that is revoked as a whole. Times are in milliseconds.
 */
export interface Installation {
  id: string
  event_id: string
  organization_id: string
  /** The participant who signed in; an organizer's installation has none. */
  user_id?: string
  scope: string
  consented_at: number
  /** Null while it is active, else the reason for its end. */
  ended: (typeof ENDED)[number] | null
}

export interface Code {
  event_id: string
  organization_id: string
  user_id?: string
  scope: string
  redirect_uri: string
  code_challenge: string
  issued_at: number
  spent: boolean
  installation: string | null
}

interface AccessToken {
  installation: string
  expires_at: number
}

interface RefreshToken extends AccessToken {
  state: (typeof TOKEN_STATES)[number]
}

/** What happened to a participant since the seed. */
export interface Review {
  name?: string
  application_status?: string
  last_review_action?: string
  last_reviewed_at?: string
  last_reviewer_id?: string
  registered_at?: string | null
}

export interface State {
  version: 1
  /** How far the sandbox's clock is ahead; files of earlier versions lack it. */
  clock_offset_ms?: number
  installations: Record<string, Installation>
  codes: Record<string, Code>
  access_tokens: Record<string, AccessToken>
  refresh_tokens: Record<string, RefreshToken>
  /** Keyed by participant id. */
  reviews: Record<string, Review>
  /** Who came and who went, by event id; files of earlier versions lack it. */
  people?: Record<string, { added: number; removed: string[] }>
}

const ENDED = ['revoked', 'replaced', 'code_reused', 'refresh_token_reused', 'suspended', 'archived'] as const
const TOKEN_STATES = ['usable', 'consumed', 'revoked'] as const

type Test = (value: unknown) => boolean
type Tests<T> = { readonly [Name in keyof T]-?: Test }

const text: Test = value => typeof value === 'string'
const number: Test = value => typeof value === 'number'
const truth: Test = value => typeof value === 'boolean'
const oneOf =
  (...known: unknown[]): Test =>
  value =>
    known.includes(value)
const either =
  (...tests: Test[]): Test =>
  value =>
    tests.some(test => test(value))
const absent: Test = value => value === undefined
const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
/** An object with these fields, each of which `T` has too. */
const fields =
  <T>(tests: Tests<T>): Test =>
  value =>
    isRecord(value) && Object.entries<Test>(tests).every(([name, test]) => test(value[name]))
const each =
  (test: Test): Test =>
  value =>
    isRecord(value) && Object.values(value).every(test)

const TOKEN = { installation: text, expires_at: number }
const isWhole = fields<State>({
  version: oneOf(1),
  clock_offset_ms: either(absent, value => typeof value === 'number' && value >= 0 && value <= 1e12),
  installations: each(
    fields<Installation>({
      id: text,
      event_id: text,
      organization_id: text,
      user_id: either(absent, text),
      scope: text,
      consented_at: number,
      ended: oneOf(null, ...ENDED),
    }),
  ),
  codes: each(
    fields<Code>({
      event_id: text,
      organization_id: text,
      user_id: either(absent, text),
      scope: text,
      redirect_uri: text,
      code_challenge: text,
      issued_at: number,
      spent: truth,
      installation: either(text, oneOf(null)),
    }),
  ),
  access_tokens: each(fields<AccessToken>(TOKEN)),
  refresh_tokens: each(fields<RefreshToken>({ ...TOKEN, state: oneOf(...TOKEN_STATES) })),
  reviews: each(
    fields<Review>({
      name: either(absent, text),
      application_status: either(absent, text),
      last_review_action: either(absent, text),
      last_reviewed_at: either(absent, text),
      last_reviewer_id: either(absent, text),
      registered_at: either(absent, text, oneOf(null)),
    }),
  ),
  people: either(
    absent,
    each(
      fields<NonNullable<State['people']>[string]>({
        added: number,
        removed: value => Array.isArray(value) && value.every(text),
      }),
    ),
  ),
})
const isState = (value: unknown): value is State => isWhole(value)

export function emptyState(): State {
  return {
    version: 1,
    installations: {},
    codes: {},
    access_tokens: {},
    refresh_tokens: {},
    reviews: {},
    people: {},
  }
}

/** Reads the state of the last run. A file that cannot be understood costs a new consent, and does not stop the start. */
export function loadState(file: string | undefined, log: FastifyBaseLogger): State {
  if (file === undefined) return emptyState()
  try {
    const state: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (isState(state)) return state
    log.warn({ file }, 'sandbox state has an unknown shape: starting fresh')
  } catch (err) {
    if (codeOf(err) !== 'ENOENT') log.warn({ file }, 'sandbox state is unreadable: starting fresh')
  }
  return emptyState()
}

/** Writes the state. It is synchronous, so that a token is on disk before the answer that carries it is sent. */
export function saveState(file: string | undefined, state: State, log: FastifyBaseLogger): void {
  if (file === undefined) return
  const draft = `${file}.tmp`
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(draft, JSON.stringify(state), { mode: 0o600 })
    renameSync(draft, file)
  } catch (err) {
    log.warn({ file, code: codeOf(err) }, 'sandbox state was not saved')
  }
}

function codeOf(err: unknown): string | undefined {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : undefined
}
