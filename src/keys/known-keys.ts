import type { Sealer } from './sealing.ts'

/** A secret in use, and the secret before it. */
export interface KeyPair {
  readonly current: string
  readonly previous?: string | undefined
}

/** A secret or key of this process by its variable; the one before it is in `<variable>_PREVIOUS`. */
export interface AppKey {
  readonly variable: string
  /** Its fingerprints. The first is written; the others were written before the encryption key was changed. */
  readonly current: readonly string[]
  readonly previous: readonly string[] | undefined
  /** The old one can go when the new one is used this long after its last use. ENCRYPTION_KEY has no such rule. */
  readonly quietMs?: number
}

export const ENCRYPTION_KEY = 'ENCRYPTION_KEY'
export const VERIFY_TOKEN = 'WEBHOOK_VERIFY_TOKEN'

/**
 * How long providers retry is not documented. Where timestamps are judged, a retry signed with the old secret is at most
 * minutes old; a day covers providers that sign no timestamp, and those with many machines.
 */
const DAY_MS = 24 * 3_600_000

/** `secrets` are those of the providers, by variable. */
export function appKeys(
  {
    secrets,
    verifyToken,
  }: { secrets: Readonly<Record<string, KeyPair | undefined>>; verifyToken?: KeyPair | undefined },
  sealer: Sealer,
): AppKey[] {
  const secretsOf = (variable: string, secrets: KeyPair | undefined, quietMs: number): AppKey[] => {
    const names = (secret: string) => sealer.fingerprints(`${variable} ${secret}`)
    if (!secrets) return []
    const previous = secrets.previous === undefined ? undefined : names(secrets.previous)
    return [{ variable, current: names(secrets.current), previous, quietMs }]
  }
  const [current, previous] = sealer.keys
  return [
    ...Object.entries(secrets).flatMap(([variable, pair]) => secretsOf(variable, pair, DAY_MS)),
    // A caller of the handshake shows its token once a day.
    ...secretsOf(VERIFY_TOKEN, verifyToken, 2 * DAY_MS),
    {
      variable: ENCRYPTION_KEY,
      current: [current],
      // The same key in another spelling is no change.
      previous: previous === undefined || previous === current ? undefined : [previous],
    },
  ]
}
