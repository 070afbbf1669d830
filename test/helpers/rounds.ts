const FACTOR = Number(process.env['ROUNDS'] ?? 1)

/** How many cases of a property are tried: few in `npm test`, and ROUNDS times as many where that is set, as CI does. */
export const rounds = (few: number): number => Math.ceil(few * FACTOR)

/** One of these for the n-th case, and the next one for the next case; more of them where ROUNDS is set. */
export const inTurn = <T>(all: readonly T[], n: number): T[] =>
  [...all.slice(n % all.length), ...all.slice(0, n % all.length)].slice(0, rounds(1))
