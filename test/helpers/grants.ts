import { entitlement, type Grant } from '../../src/oauth/entitlement.ts'

/** Returns the grant that a session with a live connection to this event and organization has. */
export async function grantOf(eventId: string, organizationId = 'org_1'): Promise<Grant> {
  const at = { accessExpiresAt: 0, refreshExpiresAt: 0, consentExpiresAt: 0, connectedAt: 0 }
  const key = { eventId, organizationId }
  const connection = {
    ...key,
    ...at,
    platform: 'real',
    state: 'connected',
    reason: null,
    scopes: [],
  } as const
  const { grants } = await entitlement(async () => connection, [key])
  const [grant] = grants
  if (!grant) throw new Error('a live connection gives a grant')
  return grant
}
