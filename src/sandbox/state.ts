import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'

/**
 * Everything that the sandbox remembers, as plain data. Codes and tokens are stored by their SHA-256 only. An
 * installation is one consent: its tokens form the family that is revoked as a whole. Times are in milliseconds.
 */
const Installation = Type.Object({
  id: Type.String(),
  event_id: Type.String(),
  organization_id: Type.String(),
  scope: Type.String(),
  consented_at: Type.Number(),
  /** Null while it is active, else the reason for its end. */
  ended: Type.Union([
    Type.Null(),
    Type.Literal('revoked'),
    Type.Literal('replaced'),
    Type.Literal('code_reused'),
    Type.Literal('refresh_token_reused'),
    Type.Literal('suspended'),
    Type.Literal('archived'),
  ]),
})

const Code = Type.Object({
  event_id: Type.String(),
  organization_id: Type.String(),
  scope: Type.String(),
  redirect_uri: Type.String(),
  code_challenge: Type.String(),
  issued_at: Type.Number(),
  spent: Type.Boolean(),
  /** The installation that the code led to. */
  installation: Type.Union([Type.Null(), Type.String()]),
})

const AccessToken = Type.Object({ installation: Type.String(), expires_at: Type.Number() })
const RefreshToken = Type.Object({
  installation: Type.String(),
  expires_at: Type.Number(),
  state: Type.Union([Type.Literal('usable'), Type.Literal('consumed'), Type.Literal('revoked')]),
})

/** What happened to a participant's application since the seed. */
const Review = Type.Object({
  application_status: Type.Optional(Type.String()),
  last_review_action: Type.Optional(Type.String()),
  last_reviewed_at: Type.Optional(Type.String()),
  last_reviewer_id: Type.Optional(Type.String()),
  registered_at: Type.Optional(Type.String()),
})

const State = Type.Object({
  version: Type.Literal(1),
  /** How far the sandbox's clock is ahead; files of earlier versions lack it. */
  clock_offset_ms: Type.Optional(Type.Number({ minimum: 0, maximum: 1e12 })),
  installations: Type.Record(Type.String(), Installation),
  codes: Type.Record(Type.String(), Code),
  access_tokens: Type.Record(Type.String(), AccessToken),
  refresh_tokens: Type.Record(Type.String(), RefreshToken),
  /** Keyed by participant id. */
  reviews: Type.Record(Type.String(), Review),
})

export type Installation = Static<typeof Installation>
export type Code = Static<typeof Code>
export type Review = Static<typeof Review>
export type State = Static<typeof State>

const isState = (value: unknown): value is State => Value.Check(State, value)

export function emptyState(): State {
  return { version: 1, installations: {}, codes: {}, access_tokens: {}, refresh_tokens: {}, reviews: {} }
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
