import { timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { AppError, type ErrorCode } from '../http/errors.ts'
import type { Session } from '../oauth/sessions.ts'
import type { Replayed } from '../webhooks/inbox/deliveries.ts'
import { FORM_TOKEN } from './layout.ts'

/**
 * Throws form_rejected unless a form comes from our own page, made for this very session. The pages send no referrer, so
 * over plain http, but for localhost, a browser sends only `Origin: null`, and the token alone decides.
 */
export function checkForm(
  request: FastifyRequest,
  session: Pick<Session, 'formToken'>,
  origin: string,
): void {
  checkOrigin(request, origin)
  if (!sameText(field(request, FORM_TOKEN), session.formToken))
    throw new AppError('form_rejected', { reason: 'form_token' })
}

/** The half of `checkForm` that needs no session. */
export function checkOrigin(request: FastifyRequest, origin: string): void {
  const { origin: from, 'sec-fetch-site': site } = request.headers
  const isOwn =
    site === undefined
      ? from === origin || (from === 'null' && origin.startsWith('http:'))
      : site === 'same-origin'
  if (!isOwn) throw new AppError('form_rejected', { reason: 'other_origin' })
}

/** The value of a form's field; empty where the field is missing or repeated. */
export function field(request: FastifyRequest, name: string): string {
  const value: unknown = Object.entries(request.body ?? {}).find(([key]) => key === name)?.[1]
  return typeof value === 'string' ? value : ''
}

function sameText(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** The error codes for a form whose replay did not happen. */
export const REFUSED: Record<Exclude<Replayed, 'replayed'>, ErrorCode> = {
  not_found: 'not_found',
  not_dead: 'not_replayable',
  answered: 'not_replayable',
  erased: 'delivery_erased',
  removed: 'payload_removed',
}
