import type { ErrorCode } from '../http/errors.ts'
import type { AttemptOutcome, ConnectionState, DeliveryState } from '../storage/schema.ts'

/** The words of the page for states and codes, and what to do about them. */

export const STATES: Record<ConnectionState, string> = {
  connected: 'Connected',
  reconsent: 'Waiting for you: Revento asks to connect this event again',
  revoked: 'Revoked: this app has no access to the event any more',
  suspended: 'Suspended by Revento: this app checks now and then whether that was lifted',
  deleted: 'Ended: Revento asked to delete what was stored of this event',
}

/** Why there is no list, or no newer one. */
export const PROBLEMS: Record<string, string> = {
  reconsent_required: 'Revento asks to connect this event again.',
  revoked: 'This app has no access to the event any more.',
  suspended: 'Revento has suspended this app. The list comes back by itself when that is lifted.',
  scope_missing: 'You have not allowed this app to see the participants (participants.read).',
  not_connected: 'This event is not connected.',
  configuration_error: 'Revento does not accept this app’s credentials. Its operator has to correct them.',
  upstream_timeout: 'Revento did not answer in time. Ask again in a moment.',
  upstream_error: 'Revento could not be reached, or gave no usable answer. Ask again in a moment.',
  internal_error: 'Revento has an error of its own (internal_error). Ask again in a moment.',
  rate_limit_exceeded: 'Revento’s limit for this connection is used up for now.',
  rate_budget_used: 'Revento’s limit for this connection is used up for now.',
  concurrent_limit_exceeded: 'Revento is busy with other calls of this connection. Ask again in a moment.',
}

export const DELIVERY_STATES: Record<DeliveryState, string> = {
  pending: 'waiting',
  running: 'being handled',
  done: 'handled',
  ignored: 'stored, no handler',
  duplicate: 'duplicate',
  parked: 'waits for reconnect',
  dead: 'given up',
}

export const OUTCOMES: Record<AttemptOutcome, string> = {
  done: 'handled',
  ignored: 'nothing to do: what it held has been erased',
  parked: 'stopped: Revento asks to connect this event again',
  dead: 'failed, and was given up',
  retry: 'failed, to be tried again',
  postponed: 'put back, not counted, until Revento can be called again',
  released: 'given back, because the app was stopping',
  interrupted: 'cut off: its process ended before it did',
}

interface Next {
  readonly text: string
  /** The words on the button that starts a connection; absent where a new connection would not help. */
  readonly again?: string
  /** The page has a field for an event id. */
  readonly asks?: true
}

/** What a person does next. */
export const NEXT: Partial<Record<ErrorCode, Next>> = {
  access_denied: { text: 'If you changed your mind, you can connect at any time.', again: 'Connect' },
  state_missing: { text: 'Part of the address is missing. Nothing was changed.', again: 'Connect' },
  state_mismatch: {
    text: 'Revento has to send you back to the browser in which you clicked Connect. Nothing was changed.',
    again: 'Connect in this browser',
  },
  state_used: {
    text: 'Each link works once; it was probably opened twice. Look at the start page: the event may be connected already.',
    again: 'Connect again',
  },
  state_expired: {
    text: 'It took too long to come back from Revento. Nothing was changed.',
    again: 'Connect again',
  },
  code_rejected: { text: 'Nothing was stored. Trying again usually helps.', again: 'Connect again' },
  event_mismatch: {
    text: 'On Revento’s page, choose the event that you want to connect here.',
    again: 'Connect again',
  },
  invalid_event_id: {
    text: 'Copy the id from Revento: it is that of one event, e.g. evt_abc123.',
    asks: true,
  },
  event_rejected: {
    text: 'Check the event id: compare it with the one that Revento shows. If it is right, give the request number below to whoever runs this app.',
    asks: true,
  },
  invalid_request: { text: 'Nothing was changed.', again: 'Connect' },
  unauthenticated: {
    text: 'You see here what was connected in this browser. After a day without a visit you have to connect again.',
    again: 'Connect',
  },
  not_found: { text: 'The address may be mistyped, or what it led to is not yours to see.' },
  form_rejected: { text: 'Go to the start page, and press the button there again.' },
  not_replayable: { text: 'It may have been replayed already, in another window or by the operator.' },
  reconsent_required: { text: 'Webhooks that wait for it go on by themselves then.', again: 'Reconnect' },
  revoked: { text: 'If that was not intended, connect it again.', again: 'Reconnect' },
  configuration_error: {
    text: 'Nothing was stored. If it stays like this, give the request number below to whoever runs this app.',
    again: 'Try again',
  },
  upstream_error: {
    text: 'Nothing of it is stored here. Revento may have noted your consent already: that does no harm.',
    again: 'Try again',
  },
  upstream_timeout: {
    text: 'Nothing of it is stored here. Revento may have noted your consent already: that does no harm.',
    again: 'Try again',
  },
  storage_unavailable: {
    text: 'Nothing that Revento sends is lost: it is not acknowledged, and comes again. If it stays like this, tell whoever runs this app.',
  },
  internal_error: { text: 'Give the request number below to whoever runs this app.' },
}

/** The headings of error pages whose code in words makes no good one. */
export const HEADINGS: Partial<Record<ErrorCode, string>> = {
  invalid_event_id: 'No event id',
  event_rejected: 'Event not accepted',
  access_denied: 'Declined',
  state_missing: 'Link incomplete',
  state_mismatch: 'Another browser',
  state_used: 'Link used already',
  state_expired: 'Link expired',
  code_rejected: 'Not connected',
  event_mismatch: 'Another event',
  unauthenticated: 'Connect first',
  not_signed_in: 'Sign in first',
  sign_in_again: 'Sign in again',
  form_rejected: 'Page too old',
  not_found: 'Not found',
  reconsent_required: 'Connect again',
  revoked: 'Access was ended',
  suspended: 'App suspended',
  scope_missing: 'Not allowed',
  internal_error: 'Something went wrong',
  configuration_error: 'App not accepted',
  upstream_error: 'Revento unreachable',
  rate_budget_used: 'Limit used up',
  overloaded: 'Busy',
  storage_unavailable: 'Cannot store',
  upstream_timeout: 'Revento too slow',
}

export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/** As NEXT for a participant, whom neither an event id nor a connection helps. */
export const loginNext = (error: ErrorCode): Next | undefined =>
  NEXT[error]?.again === undefined ? undefined : { text: 'Nothing was stored.', again: 'Sign in' }

export const words = (code: string) => code.replaceAll('_', ' ')
