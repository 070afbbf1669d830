import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { handlerFile } from './deliveries.ts'
import type { World } from './open-world.ts'
import { Failed } from './world.ts'

/** A request that a handler sent outside, and that the pretend service accepted. */
export interface Sent {
  readonly delivery: number
  readonly provider: string
  readonly type: string
  readonly attempt: number
  /** `POST https://example.com`, without path and query, which may name a person. */
  readonly what: string
  /** The name of the `once` around it. */
  readonly once?: string
}

/** probe.ts writes a line for each request, so that those before a kill count, too. */
export const OUTSIDE = 'outside.jsonl'

const sentOutside = ({ folder }: World): Sent[] => {
  const file = join(folder, OUTSIDE)
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Sent)
}

/** Warns of requests that several runs of a delivery sent to the pretend service; inside `once` they make the day fail. */
export function doubledOutside(world: World): string[] {
  const effects = Object.groupBy(
    sentOutside(world),
    ({ delivery, what, once }) => `${delivery} ${what} ${once ?? ''}`,
  )
  const doubled = Object.values(effects).flatMap(sent => {
    const runs = new Set(sent?.map(({ attempt }) => attempt))
    return sent?.[0] && runs.size > 1 ? [{ ...sent[0], runs: runs.size }] : []
  })
  const remembered = doubled.find(({ once }) => once !== undefined)
  if (remembered)
    throw new Failed(
      `once("${remembered.once}") ran again, and sent ${remembered.what} twice`,
      'src/builder/once.ts',
    )
  const byHandler = Map.groupBy(
    doubled,
    ({ provider, type, what }) => `${handlerFile(provider, type)} sent ${what}`,
  )
  return [...byHandler].map(
    ([sent, all]) =>
      `${sent} once more for ${all.length} of its deliveries, when these ran again: put once() around it`,
  )
}
