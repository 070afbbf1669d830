/** All guesses about what the guide leaves open of Login with Revento. Code that relies on one uses its name. */

/** Guess: a sign-in asks for its event as a connection does. The guide shows the parameters of organizers only. */
export const EVENT_PARAMETER = 'event_id'

/**
 * Guess: the token answer may name the participant in this member. Without it each sign-in is a participant of its own
 * here: two browsers of one participant then have two pairs of tokens.
 */
export const USER_MEMBER = 'user_id'

/*
 * Guess: a token answer without `event_id` or `organization_id` is about the event that was asked for, and about the
 * organization that connected it last. One that names others is refused, and nothing stored.
 */

/** Guess, of the sandbox only: the beginning of a participant's token. The app takes any but an installation's. */
export const USER_PREFIX = 'rev_user_'

/** Guess: who may not sign in (no application, event not connected) comes back like one who declined. */
export const NOT_ELIGIBLE = 'access_denied'

/**
 * Guess: the refusals of an endpoint for the other kind of token. `user_token_required` is in the guide, its counterpart
 * follows its form; both 403, as `event_not_authorized` is.
 */
export const WRONG_KIND = {
  user: 'installation_token_required',
  installation: 'user_token_required',
} as const

/*
 * Guess, of the sandbox only: `/me/profile` has an id beside name and email, `/me/application` has id, event_id, role and
 * registered_at beside its status. The app reads `name`, `email` and `application_status`, and shows what is there.
 */

/*
 * Guess: what ends the organizer's connection ends the sign-ins under it. The app does not use one without a connection,
 * and waits with all of them while the connection is suspended.
 */
