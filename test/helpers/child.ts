import { onTestFinished } from 'vitest'
import { type Child, type ChildOptions, launch } from './stage.ts'

export type { Child } from './stage.ts'

/** Starts Node with these arguments and this environment only, and kills it after the test where it still runs. */
export function node(args: readonly string[], o: ChildOptions = {}): Child {
  const child = launch(args, o)
  onTestFinished(async () => void (await child.stop('SIGKILL')))
  return child
}
