import { hash } from 'node:crypto'

/** Chance that comes from a text alone: the same text gives the same draws for ever, on every machine. */
export interface Random {
  /** A whole number from 0 to `n` - 1. */
  below(n: number): number
  between(least: number, most: number): number
  chance(percent: number): boolean
  pick<T>(list: readonly T[]): T
  /** One of the keys, each as often as its weight says. */
  weighed<K extends string>(weights: Readonly<Record<K, number>>): K
}

/** A counter through SHA-256: no state to get wrong, and no seed that is worse than another. */
export function createRandom(seed: string): Random {
  let drawn = 0
  const below = (n: number) => {
    const bits = Buffer.from(hash('sha256', `${seed} ${drawn++}`, 'hex'), 'hex').readUIntBE(0, 6)
    return bits % n
  }
  return {
    below,
    between: (least, most) => least + below(most - least + 1),
    chance: percent => below(100) < percent,
    pick: list => list[below(list.length)] as (typeof list)[number],
    weighed(weights) {
      const names = Object.keys(weights) as (keyof typeof weights & string)[]
      const all = names.flatMap(name => Array<typeof name>(weights[name]).fill(name))
      return all[below(all.length)] as (typeof names)[number]
    },
  }
}
