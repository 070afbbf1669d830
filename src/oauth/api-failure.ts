import { AppError } from '../http/errors.ts'
import { ApiError } from '../revento/api.ts'
import { ConnectionUnavailable } from './access-token.ts'
import { connectUrl } from './connect.route.ts'
import type { Connection, ConnectionKey } from './connections.ts'

/** The code of why nothing is listed for a connection that has ended. */
export const endCode = (connection: Connection) =>
  connection.state === 'revoked' ? 'revoked' : 'not_connected'

/** The answer of this app to a failure of Revento's API. */
export function apiFailure(error: unknown, { eventId }: ConnectionKey, origin: string): unknown {
  if (error instanceof ConnectionUnavailable) {
    if (error.code === 'not_connected') return new AppError('not_found', { reason: error.code })
    if (error.code === 'suspended') return new AppError('suspended')
    return new AppError(error.code, { connectUrl: connectUrl(origin, eventId) })
  }
  if (!(error instanceof ApiError)) return error
  if (error.status === 400) return new AppError('invalid_request', { reason: error.code })
  if (error.code === 'rate_budget_used' || error.code === 'rate_limit_exceeded') {
    const retryAfterS = Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1000))
    return new AppError('rate_budget_used', { reason: error.code, retryAfterS })
  }
  // Only errors with status 0 are ours: an error that Revento names like this must not pass for one of them.
  const own =
    error.status === 0 && (error.code === 'upstream_timeout' || error.code === 'configuration_error')
  return new AppError(own ? (error.code as 'upstream_timeout') : 'upstream_error', { reason: error.code })
}
