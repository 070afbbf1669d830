import { UnusableDatabaseError } from '../storage/unusable-database.ts'
import { type Sealer, UnsealError } from './sealing.ts'
import type { KnownKey, Proof } from './sealing-keys.ts'

/** The keys that are given do not open this database. */
export class SealingKeyError extends UnusableDatabaseError {
  constructor(message: string) {
    super(message)
    this.name = 'SealingKeyError'
  }
}

/**
 * Throws SealingKeyError unless every key that is needed is held and is the one that it says it is. `known` has the
 * key in use first: that one is needed even while nothing stands under it, so that a slip shows on the first start.
 */
export function refuseWrongKeys(known: readonly KnownKey[], sealer: Sealer): void {
  const isHeld = ({ id }: KnownKey) => sealer.keys.includes(id)
  const missing = known.find((key, i) => !isHeld(key) && (i === 0 || key.values > 0))
  if (missing) throw new SealingKeyError(explain(missing, sealer))
  if (known.some(key => isHeld(key) && !isProven(key, sealer)))
    throw new SealingKeyError(
      'ENCRYPTION_KEY does not open the check value of this database. Restore the database from a backup.',
    )
}

function isProven({ proofs }: KnownKey, sealer: Sealer): boolean {
  const opens = ({ sealed, place }: Proof) => {
    try {
      sealer.open(sealed, place)
      return true
    } catch (error) {
      if (error instanceof UnsealError) return false
      throw error
    }
  }
  return proofs.length === 0 || proofs.some(opens)
}

function explain({ id, values }: KnownKey, { keys }: Sealer): string {
  const under = values === 1 ? '1 value is sealed with' : `${values} values are sealed with`
  return [
    `ENCRYPTION_KEY is not the key of this database: ${values === 0 ? 'it uses' : under} key ${id},`,
    `and what is given is ${keys.join(' and ')}.`,
    'Set ENCRYPTION_KEY to the key used before; to change it, give the key used before as ENCRYPTION_KEY_PREVIOUS.',
  ].join(' ')
}
