/** What the guide leaves open and this sandbox had to decide. Shown on the home page: do not build on any of it. */
export const CHOICES: readonly string[] = [
  'An authorization code lives 60 seconds and is spent by the first attempt to use it, successful or not.',
  'Using a code a second time revokes the installation that the first use led to.',
  'Using a refresh token a second time revokes the installation with all its tokens; there is no grace period.',
  'A refresh leaves earlier access tokens valid until their hour is over.',
  'A new consent for the same event and organization replaces the earlier installation.',
  'state and event_id are required at authorize; errors other than a wrong client_id or redirect_uri are redirected, with state.',
  'The consenting person grants all requested scopes or none.',
  'Token errors have the form of RFC 6749; a wrong client is 401 invalid_client, and Basic authentication is not taken.',
  'Names of the fields in rows and in webhook data, except those the guide shows.',
  'A missing scope is 403 missing_scope. Other own codes: not_found, not_acceptable, invalid_limit, invalid_cursor.',
  'A limit above 50 is refused with 400. Cursors do not expire; rows are sorted by id.',
  'Rate windows are fixed and begin with the first request in them; the headers tell of the window with the fewest requests left. The token endpoint has no limit.',
  'A webhook that gets no 2xx within 10 seconds is repeated after 1, 2, 4, 8, 16, 30 and 60 seconds, then given up. Each attempt is signed anew with a fresh timestamp; the delivery id stays.',
  'Webhooks are sent one by one in order, but a repeated one may arrive after its successors.',
  'Revoking a connection here sends no webhook by itself.',
]
