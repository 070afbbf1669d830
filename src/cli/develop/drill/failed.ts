/** The reason in words, and the file it points to where that is another one than the day's. */
export class Failed extends Error {
  readonly look: string | undefined
  constructor(reason: string, look?: string) {
    super(reason)
    this.name = 'Failed'
    this.look = look
  }
}

/** This system has no way to make such a day. */
export class NotHere extends Error {
  override readonly name = 'NotHere'
}

/** Compares as JSON, so that numbers, texts and lists do alike. */
export function expect(what: string, found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)]
  if (a !== b) throw new Failed(`${what}: ${a}, not ${b}`)
}
