import type { Log } from '../process/log.ts'
import { CONTRACT, differencesIn, type Observe } from '../revento/drift.ts'
import type { Queries } from './database.ts'
import type { Platform } from './schema.ts'

/** So many differences are noted at most: a platform that answers in a thousand new ways must not fill the disk. */
const MOST = 500

/**
 * Notes each way in which Revento's answers differ from what is expected, once, and which kinds of answer were seen. It
 * reads answers that come anyway, and keeps no value of them. What cannot be stored is noted by the next process.
 */
export function createDrift(query: Queries, platform: Platform, log: Pick<Log, 'warn'>): Observe {
  const noted = new Set<string>()
  return seen => {
    const { place, differences } = differencesIn(seen)
    for (const said of [`seen: ${place}`, ...differences]) {
      if (noted.has(said) || noted.size >= MOST) continue
      noted.add(said)
      query
        .insertInto('platform_drift')
        .values({ platform, contract: CONTRACT, said })
        .onConflict(c => c.doNothing())
        .execute()
        .catch(err => log.warn({ part: 'api', err }, 'cannot note how Revento answers'))
    }
  }
}
