import { findEvent } from '../api/events.ts'
import { Problem } from '../api/problem.ts'
import type { Context } from '../context.ts'
import { type Fields, flag, text } from '../fields.ts'
import { endInstallation } from '../oauth/tokens.ts'
import type { Installation, State } from '../state.ts'
import { believable, senderOf } from './send.ts'

/** The tokens of these installations that still work. */
function working(state: State, installations: readonly Installation[], now: number) {
  const ids = new Set(installations.map(({ id }) => id))
  const works = (token: { installation: string; expires_at: number }) =>
    ids.has(token.installation) && token.expires_at > now
  return {
    access: Object.values(state.access_tokens).filter(works),
    refresh: Object.values(state.refresh_tokens).filter(token => token.state === 'usable' && works(token)),
  }
}

interface Current extends ReturnType<typeof working> {
  installations: Installation[]
}

/** Changes what still works, and answers how many things it changed. */
export type Change = (current: Current, now: number) => number

export const expire =
  (kind: 'access' | 'refresh'): Change =>
  ({ [kind]: tokens }, now) => {
    for (const token of tokens) token.expires_at = now
    return tokens.length
  }

export const revokeRefresh: Change = ({ refresh }) => {
  for (const token of refresh) token.state = 'revoked'
  return refresh.length
}

export const end =
  (reason: 'revoked' | 'archived' | 'suspended'): Change =>
  ({ installations }) => {
    for (const installation of installations) endInstallation(installation, reason)
    return installations.length
  }

/**
 * Changes the connections of one event, or of all without `event_id`, and the sign-ins under them; with `user_id` only those
 * of one participant. With `tell` the app gets the webhook for it: one for each event, or one of the whole integration.
 */
export function changeConnections(
  context: Context,
  fields: Fields,
  { name, change, webhook }: { name: string; change: Change; webhook: string | undefined },
): number {
  const { state, options, clock, deliveries, save } = context
  const event_id = text(fields, 'event_id')
  if (event_id !== undefined && !findEvent(event_id)) throw new Problem('not_found')
  const user_id = text(fields, 'user_id')
  // No webhook is known that says that one participant's consent has ended.
  const type = flag(fields, 'tell') && user_id === undefined ? webhook : undefined
  const installations = Object.values(state.installations).filter(
    one =>
      one.ended === null &&
      (event_id === undefined || one.event_id === event_id) &&
      (user_id === undefined || one.user_id === user_id),
  )
  const changed = change({ installations, ...working(state, installations, clock.now()) }, clock.now())
  const events = [...new Set(installations.map(one => one.event_id))].flatMap(id => findEvent(id) ?? [])
  for (const event of type?.startsWith('integration.') ? events.slice(0, 1) : events)
    if (type) deliveries.start(believable(context, senderOf(context, undefined), type, event))
  save()
  options.log.info({ part: 'sandbox', control: name, event_id, changed }, 'sandbox control')
  return changed
}

/** How many access tokens of an installation work, and until when each kind of token does (ms). */
export function holdings(state: State, installation: Installation, now: number) {
  const { access, refresh } = working(state, [installation], now)
  const latest = (tokens: readonly { expires_at: number }[]) =>
    tokens.length > 0 ? Math.max(...tokens.map(token => token.expires_at)) : null
  return { access: access.length, accessUntil: latest(access), refreshUntil: latest(refresh) }
}
