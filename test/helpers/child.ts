import { onTestFinished } from 'vitest'
import { type Child, type ChildOptions, launch } from './stage.ts'

export type { Child } from './stage.ts'

/** Node with these arguments, killed after the test where it still runs. The environment is given whole. */
export function node(args: readonly string[], o: ChildOptions = {}): Child {
  const child = launch(args, o)
  onTestFinished(async () => void (await child.stop('SIGKILL')))
  return child
}
