const FACTOR = Number(process.env['ROUNDS'] ?? 1)

/** How many cases of a property are tried: few in `npm test`, and ROUNDS times as many where that is set, as CI does. */
export const rounds = (few: number): number => Math.ceil(few * FACTOR)
