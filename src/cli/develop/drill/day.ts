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
