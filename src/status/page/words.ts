import type { ConnectionState } from '../../storage/schema.ts'

/** The state of a connection in a word or two, for a pill. */
export const PILLS: Record<ConnectionState, string> = {
  connected: 'Connected',
  reconsent: 'Waiting for you',
  revoked: 'Revoked',
  suspended: 'Suspended',
  deleted: 'Ended',
}

/** How a known application status is coloured; others are not. */
export const APPLICATION_TONES: Readonly<Record<string, 'good' | 'wait' | 'bad' | undefined>> = {
  approved: 'good',
  pending: 'wait',
  revision_requested: 'wait',
  rejected: 'bad',
}

export const ADVICE: Record<ConnectionState, string | undefined> = {
  connected: undefined,
  reconsent: 'Connect it again. Webhooks that wait for it go on by themselves then.',
  revoked: 'If that was not intended, connect it again.',
  suspended: 'Whoever runs this app has to settle it with Revento. It goes on by itself then.',
  deleted: 'Connecting it again starts with nothing.',
}

export const REASONS: Record<string, string> = {
  invalid_grant: 'Revento no longer accepts the permission that was given.',
  refresh_interrupted: 'Revento’s answer was lost while the permission was being renewed.',
  consent_expired: 'The permission has reached its end.',
  sealed_value_damaged: 'The stored permission is damaged.',
  token_revoked: 'It was ended at Revento.',
}
