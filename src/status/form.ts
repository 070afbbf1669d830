import { timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { AppError } from '../http/errors.ts'
import type { Session } from '../oauth/sessions.ts'

/** The field of every form that holds the session's token. */
export const FORM_TOKEN = 'form_token'

/**
 * What changes something comes from our own page, made for this very session. Throws form_rejected; the log says why.
 * The pages send no referrer, so over plain http on a name other than localhost a browser says nothing of where a form
 * came from but `Origin: null`: there the token decides alone.
 */
export function checkForm(request: FastifyRequest, session: Session, origin: string): void {
  const { origin: from, 'sec-fetch-site': site } = request.headers
  const isOwn =
    site === undefined
      ? from === origin || (from === 'null' && origin.startsWith('http:'))
      : site === 'same-origin'
  if (!isOwn) throw new AppError('form_rejected', { reason: 'other_origin' })
  if (!sameText(field(request, FORM_TOKEN), session.formToken))
    throw new AppError('form_rejected', { reason: 'form_token' })
}

/** A field that stands there once; empty when it does not. */
export function field(request: FastifyRequest, name: string): string {
  const value: unknown = Object.entries(request.body ?? {}).find(([key]) => key === name)?.[1]
  return typeof value === 'string' ? value : ''
}

function sameText(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
