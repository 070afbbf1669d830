/** So many days are at work at a time; those that only wait make room for others. */
export interface Places {
  use<T>(work: () => Promise<T>): Promise<T>
  /** Gives the place away while it waits, and goes first in line afterwards. */
  rest<T>(wait: Promise<T>): Promise<T>
}

export function createPlaces(count: number): Places {
  let free = count
  const line: (() => void)[] = []

  const take = (first: boolean) =>
    new Promise<void>(resolve => {
      if (free > 0) {
        free -= 1
        resolve()
      } else if (first) line.unshift(resolve)
      else line.push(resolve)
    })
  function give(): void {
    const next = line.shift()
    if (next) next()
    else free += 1
  }

  return {
    async use(work) {
      await take(false)
      try {
        return await work()
      } finally {
        give()
      }
    },
    async rest(wait) {
      give()
      try {
        return await wait
      } finally {
        await take(true)
      }
    },
  }
}
