import type { World } from './world.ts'

/** A bad day: what happens to the app, and what must come of it. */
export interface Day {
  readonly name: string
  readonly title: string
  /** What it costs when it goes wrong. */
  readonly why: string
  /** Where to look when it fails: a file of this project. */
  readonly look: string
  /** The button of the sandbox's console that does the same by hand. */
  readonly fault?: string
  /** Resolves when everything was as it must be; throws Failed with the reason, or NotHere. */
  readonly run: (world: World) => Promise<void>
}

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
