const FACTOR = Number(process.env['ROUNDS'] ?? 1)

/** Returns how many cases of a property to try: `few` in `npm test`, ROUNDS times as many where that is set, as in CI. */
export const rounds = (few: number): number => Math.ceil(few * FACTOR)

/** Returns one of these for the n-th case and the next one for the next case; more of them where ROUNDS is set. */
export const inTurn = <T>(all: readonly T[], n: number): T[] =>
  [...all.slice(n % all.length), ...all.slice(0, n % all.length)].slice(0, rounds(1))
