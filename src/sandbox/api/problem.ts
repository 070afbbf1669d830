import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WRONG_KIND } from '../../revento/login.ts'
import { FAULTS } from '../faults/fault-table.ts'

/** Every answer that is no success. Codes marked * are the sandbox's own, since the guide does not show the platform's. */
export const PROBLEMS = {
  invalid_token: [401, 'The access token is malformed or unknown.'],
  token_expired: [401, 'The access token has expired.'],
  token_revoked: [401, 'The installation has been revoked.'],
  event_not_authorized: [403, 'The token belongs to another event.'],
  [WRONG_KIND.installation]: [403, 'This endpoint is for a participant who signed in.'],
  /* * */ [WRONG_KIND.user]: [403, 'This endpoint is for an installation.'],
  /* * */ missing_scope: [403, 'The token does not carry the scope this endpoint needs.'],
  /* * */ cross_origin: [403, 'Only the pages of this sandbox, and tools, may ask for this.'],
  /* * */ unknown_fault: [404, `There is no such bad day; there are: ${FAULTS.map(f => f.name).join(', ')}.`],
  /* * */ not_found: [404, 'There is nothing at this address.'],
  /* * */ not_acceptable: [406, 'Only version 1 of the API exists.'],
  /* * */ delivery_pending: [409, 'This delivery is still being sent.'],
  /* * */ payload_too_large: [413, 'The body is too large.'],
  /* * */ unsupported_media_type: [415, 'This content type is not accepted here.'],
  /* * */ invalid_request: [400, 'The request is malformed.'],
  /* * */ invalid_term: [400, 'A bad day lasts for a count (1 to 1000) or for seconds (1 to 86400).'],
  /* * */ invalid_limit: [400, 'limit is a whole number from 1 to 50.'],
  /* * */ invalid_cursor: [400, 'The cursor did not come from this list.'],
  /* * */ clock_limit: [400, 'The clock cannot be more than ten years ahead.'],
  rate_limit_exceeded: [429, 'The request budget is used up.'],
  concurrent_limit_exceeded: [429, 'Too many requests are in flight.'],
  /* * */ internal_error: [500, 'The sandbox failed.'],
} as const satisfies Record<string, readonly [number, string]>

export type ProblemCode = keyof typeof PROBLEMS

export class Problem extends Error {
  readonly code: ProblemCode
  constructor(code: ProblemCode) {
    super(PROBLEMS[code][1])
    this.name = 'Problem'
    this.code = code
  }
}

export function sendProblem(reply: FastifyReply, code: ProblemCode): FastifyReply {
  const [status, message] = PROBLEMS[code]
  reply.code(status).header('cache-control', 'no-store')
  return reply.send({ error: code, message, request_id: reply.request.id })
}

/** Gives every failure one shape, which holds nothing of the request or the exception. */
export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler((err, request, reply) => sendProblem(reply, codeOf(err, request)))
}

export function codeOf(err: unknown, request: FastifyRequest): ProblemCode {
  if (err instanceof Problem) return err.code
  const { statusCode: status = 500, name, code, stack } = err as FastifyError
  if (status === 413) return 'payload_too_large'
  if (status === 415) return 'unsupported_media_type'
  if (status < 500) return 'invalid_request'
  request.log.error({ name, code, stack }, 'sandbox request failed')
  return 'internal_error'
}
