import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { handlerFile } from './deliveries.ts'
import { Failed, type World } from './world.ts'

/** One request that a handler sent outside, and the pretend service took. */
export interface Sent {
  readonly delivery: number
  readonly provider: string
  readonly type: string
  readonly attempt: number
  /** `POST https://example.com`, without path and query, which may name somebody. */
  readonly what: string
  /** Of the `once` around it. */
  readonly once?: string
}

/** Written by probe.ts, a line each, so that what a process did before it was killed counts too. */
export const OUTSIDE = 'outside.jsonl'

const sentOutside = ({ folder }: World): Sent[] => {
  const file = join(folder, OUTSIDE)
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as Sent)
}

/**
 * What reached the pretend service in more than one run of a delivery. Without `once` that is how handlers are: a warning.
 * With it the machinery is to blame.
 */
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
  const told = Map.groupBy(
    doubled,
    ({ provider, type, what }) => `${handlerFile(provider, type)} sent ${what}`,
  )
  return [...told].map(
    ([sent, all]) =>
      `${sent} once more for ${all.length} of its deliveries, when these ran again: put once() around it`,
  )
}
