import type { Log } from '../process/log.ts'
import type { Own } from './context.ts'
import type { Revento } from './revento.ts'

export interface JobContext extends Own {
  /** The API by connection, as in `openRevento`. */
  readonly revento: Revento
  /** Writes under the job's name. */
  readonly log: Log
  /** Fires when the process stops, and when another instance has taken the job over: pass it on to what you call. */
  readonly signal: AbortSignal
}

export interface Job {
  /** Small letters, digits and hyphens, such as `daily-report`. Under another name it is another job. */
  readonly name: string
  /** The time from one beginning to the next: `30s`, `15m`, `6h`, `1d`. The first run comes soon after the first start. */
  readonly every: `${number}${'s' | 'm' | 'h' | 'd'}`
  /** Never runs in two instances at once. What it throws is logged and counted, and the job runs again at its next turn. */
  readonly run: (context: JobContext) => Promise<void>
}
