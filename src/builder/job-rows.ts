import type { Selectable } from 'kysely'
import type { Queries } from '../storage/database.ts'
import type { JobsTable, Platform } from '../storage/schema.ts'

export type JobRow = Selectable<JobsTable>
export type JobOutcome = 'done' | 'failed'

/** A run of a job whose lease this process has. A write with an older fence changes nothing. */
export interface LeasedJob {
  readonly name: string
  readonly fence: number
  /** When the run before it began; null at the first. */
  readonly before: number | null
}

export interface JobRows {
  add(name: string): Promise<void>
  find(name: string): Promise<JobRow | undefined>
  /** Resolves with undefined where another instance was quicker. */
  claim(row: JobRow, o: { owner: string; now: number; leaseMs: number }): Promise<LeasedJob | undefined>
  /** Resolves with false where another instance has the lease. */
  renew(leased: LeasedJob, until: number): Promise<boolean>
  end(leased: LeasedJob, o: { outcome: JobOutcome; error: string | null; now: number }): Promise<void>
  /** For a process that stops: the run does not count, and the job is due again. */
  giveBack(leased: LeasedJob): Promise<void>
  /** Notes that the process ended before its run did; false where another instance has noted it. */
  miss(row: JobRow): Promise<boolean>
}

const FREE = { lease_owner: null, lease_until: 0 } as const

/** Stores one row for each job, by which all instances on the database agree. */
export function createJobRows(query: Queries, platform: Platform): JobRows {
  const changed = async ({ name, fence }: { name: string; fence: number }, values: Partial<JobRow>) => {
    const { numUpdatedRows } = await query
      .updateTable('jobs')
      .set(values)
      .where('platform', '=', platform)
      .where('name', '=', name)
      .where('fence', '=', fence)
      .executeTakeFirst()
    return numUpdatedRows === 1n
  }
  return {
    async add(name) {
      const none = { started_at: null, finished_at: null, outcome: null, last_error: null }
      await query
        .insertInto('jobs')
        .values({ platform, name, fence: 0, ...FREE, ...none, runs: 0, failed: 0, missed: 0 })
        .onConflict(c => c.doNothing())
        .execute()
    },
    find: name =>
      query
        .selectFrom('jobs')
        .selectAll()
        .where('platform', '=', platform)
        .where('name', '=', name)
        .executeTakeFirst(),
    async claim(row, { owner, now, leaseMs }) {
      const fence = row.fence + 1
      const lease = { lease_owner: owner, lease_until: now + leaseMs, started_at: now, finished_at: null }
      const isOurs = await changed(row, { ...lease, fence, runs: row.runs + 1 })
      return isOurs ? { name: row.name, fence, before: row.started_at } : undefined
    },
    renew: (leased, until) => changed(leased, { lease_until: until }),
    async end(leased, { outcome, error, now }) {
      const row = await this.find(leased.name)
      const failed = (row?.failed ?? 0) + (outcome === 'failed' ? 1 : 0)
      await changed(leased, { ...FREE, finished_at: now, outcome, last_error: error, failed })
    },
    async giveBack(leased) {
      const row = await this.find(leased.name)
      await changed(leased, { ...FREE, started_at: leased.before, runs: Math.max(0, (row?.runs ?? 0) - 1) })
    },
    miss: row => changed(row, { ...FREE, fence: row.fence + 1, outcome: 'missed', missed: row.missed + 1 }),
  }
}
