import type { Sealer } from './sealing.ts'

/** A secret in use, and the one before it. */
export interface KeyPair {
  readonly current: string
  readonly previous?: string | undefined
}

/** A secret or key as this process has it; what came before it is in `<variable>_PREVIOUS`. */
export interface HeldKey {
  readonly variable: string
  /** Its names in the store. The first is written; the others are from before the encryption key was changed. */
  readonly current: readonly string[]
  readonly previous: readonly string[] | undefined
  /** The old one can go when the new one is used this long after the old one's last use; ENCRYPTION_KEY has no such rule. */
  readonly quietMs?: number
}

export const ENCRYPTION_KEY = 'ENCRYPTION_KEY'
export const VERIFY_TOKEN = 'WEBHOOK_VERIFY_TOKEN'

/**
 * How long Revento and the others retry is not documented. A retry of what was signed before is at most minutes old
 * where its timestamp is judged; a day is for those that sign none, and for a sender of many machines.
 */
const DAY_MS = 24 * 3_600_000

/** `secrets`: those of providers, by their variable. */
export function heldKeys(
  {
    secrets,
    verifyToken,
  }: { secrets: Readonly<Record<string, KeyPair | undefined>>; verifyToken: KeyPair | undefined },
  sealer: Sealer,
): HeldKey[] {
  const secretsOf = (variable: string, secrets: KeyPair | undefined, quietMs: number): HeldKey[] => {
    const names = (secret: string) => sealer.fingerprints(`${variable} ${secret}`)
    if (!secrets) return []
    const previous = secrets.previous === undefined ? undefined : names(secrets.previous)
    return [{ variable, current: names(secrets.current), previous, quietMs }]
  }
  const [current, previous] = sealer.keys
  return [
    ...Object.entries(secrets).flatMap(([variable, pair]) => secretsOf(variable, pair, DAY_MS)),
    // A caller shows its token once a day.
    ...secretsOf(VERIFY_TOKEN, verifyToken, 2 * DAY_MS),
    {
      variable: ENCRYPTION_KEY,
      current: [current],
      // One key in two spellings is no change.
      previous: previous === undefined || previous === current ? undefined : [previous],
    },
  ]
}
