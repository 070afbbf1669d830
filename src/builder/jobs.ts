import type { DescribeError } from '../process/errors.ts'
import { firstLine } from '../process/errors.ts'
import type { Log } from '../process/log.ts'
import { BuilderMistake, lineOf } from '../process/mistake.ts'
import { atMost, type Runtime } from '../process/runtime.ts'
import { waitLeft } from '../process/trusted-time.ts'
import type { Own } from './context.ts'
import type { Job } from './job.ts'
import type { JobOutcome, JobRow, JobRows, LeasedJob } from './job-rows.ts'
import type { Revento } from './revento.ts'

export interface JobsOptions {
  readonly jobs: readonly Job[]
  readonly rows: JobRows
  /** Makes what one run gets. */
  readonly own: (signal: AbortSignal) => Own
  /** Makes the API for one run. */
  readonly revento: (name: string, signal: AbortSignal) => Revento
  readonly count: (job: string, outcome: JobOutcome | 'missed') => void
  readonly describeError: Pick<DescribeError, 'text'>
  readonly log: Log & { child(fields: object): Log }
}

export interface RunningJobs {
  /** Aborts the jobs that run, and waits a while for them to end; never rejects. */
  stop(): Promise<void>
}

/** A lease is renewed each third of this time. The run of a killed process counts as missed after it. */
const LEASE_MS = 30_000
const LOOK_EVERY_MS = 2_000
const GRACE_MS = 3_000
const FILE = 'src/integration/jobs.ts'
const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Throws a BuilderMistake that says everything that is wrong in the list. */
export function checkJobs(jobs: readonly Job[]): void {
  const wrong = jobs.flatMap(({ name, every }, i) => {
    const place = lineOf(FILE, `'${name}'`)
    if (!/^[a-z][a-z0-9-]{0,60}$/.test(name))
      return [
        `${place}: "${name}" is no name of a job: give small letters, digits and hyphens, e.g. daily-report.`,
      ]
    if (jobs.findIndex(other => other.name === name) !== i)
      return [`${place}: two jobs are called "${name}": give one of them another name.`]
    return everyMs(every) === undefined
      ? [
          `${place}: the job "${name}" has every: '${every}', which is no interval: give e.g. 30s, 15m, 6h or 1d.`,
        ]
      : []
  })
  if (wrong.length > 0) throw new BuilderMistake(wrong.join('\n'))
}

/** The ms of an interval such as `15m`; undefined for any other text, and above a year. */
export function everyMs(every: string): number | undefined {
  const [, count = '', unit = ''] = /^([1-9]\d{0,6})([smhd])$/.exec(every) ?? []
  const ms = Number(count) * (UNITS[unit as keyof typeof UNITS] ?? 0)
  return ms > 0 && ms <= 366 * UNITS.d ? ms : undefined
}

/** Watches each job by itself: a job that hangs or fails keeps no other from running. */
export function startJobs(o: JobsOptions, runtime: Runtime): RunningJobs {
  const stopping = new AbortController()
  const owner = runtime.uuid()
  const watched = o.jobs.map(job => watch(job))
  return {
    async stop() {
      stopping.abort()
      await atMost(runtime, GRACE_MS, Promise.allSettled(watched))
    },
  }

  async function watch(job: Job): Promise<void> {
    let isKnown = false
    while (!stopping.signal.aborted) {
      try {
        if (!isKnown) await o.rows.add(job.name)
        isKnown = true
        await turn(job)
      } catch (err) {
        o.log.error({ part: 'jobs', job: job.name, err }, 'cannot look after the job')
      }
      await runtime.sleep(LOOK_EVERY_MS, stopping.signal).catch(() => {})
    }
  }

  /** Runs the job where it is due and no instance runs it. */
  async function turn(job: Job): Promise<void> {
    const row = await o.rows.find(job.name)
    if (!row) return
    const now = runtime.now()
    if (row.lease_owner !== null) {
      if (isLeased(row, now) || !(await o.rows.miss(row))) return
      o.count(job.name, 'missed')
      o.log.warn(
        { part: 'jobs', job: job.name },
        'the process that ran this job ended: it runs again in its turn',
      )
      return
    }
    if (!isDue(row, job, now)) return
    const leased = await o.rows.claim(row, { owner, now, leaseMs: LEASE_MS })
    if (leased) await runLeased(job, leased)
  }

  async function runLeased(job: Job, leased: LeasedJob): Promise<void> {
    const lost = new AbortController()
    const ended = new AbortController()
    const signal = AbortSignal.any([stopping.signal, lost.signal])
    void renew(leased, ended.signal).catch(() => lost.abort())
    const log = o.log.child({ part: 'job', job: job.name })
    const begun = runtime.monotonic()
    try {
      await job.run({ ...o.own(signal), revento: o.revento(job.name, signal), log, signal })
      await finish(leased, 'done', null)
      log.info({ ms: Math.round(runtime.monotonic() - begun) }, 'job done')
    } catch (err) {
      // A job that ends because the process stops has not failed.
      if (stopping.signal.aborted) return await o.rows.giveBack(leased)
      log.error({ err, ms: Math.round(runtime.monotonic() - begun) }, 'job failed')
      await finish(leased, 'failed', firstLine(o.describeError.text(err)))
    } finally {
      ended.abort()
    }
  }

  async function finish(leased: LeasedJob, outcome: JobOutcome, error: string | null): Promise<void> {
    o.count(leased.name, outcome)
    await o.rows.end(leased, { outcome, error, now: runtime.now() })
  }

  /** Rejects when the lease is lost: another process has counted the run as missed. */
  async function renew(leased: LeasedJob, ended: AbortSignal): Promise<void> {
    for (;;) {
      await runtime.sleep(LEASE_MS / 3, ended).catch(() => {})
      if (ended.aborted) return
      const isOurs = await o.rows.renew(leased, runtime.now() + LEASE_MS).catch(() => true)
      if (!isOurs) throw new Error('taken over')
    }
  }
}

const isLeased = ({ lease_until: until }: JobRow, now: number) =>
  waitLeft({ since: until - LEASE_MS, until }, now, LEASE_MS) > 0

/** A run that began in the future was noted by a wrong clock: the job is due. */
function isDue({ started_at: since }: JobRow, { every }: Job, now: number): boolean {
  const ms = everyMs(every) ?? 0
  return since === null || waitLeft({ since, until: since + ms }, now, ms) === 0
}
