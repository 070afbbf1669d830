import { readFileSync } from 'node:fs'

/**
 * Says later how long, in ms, this process and the other have stood in line for a processor since: what starves the
 * whole machine is no fault of the app. Linux tells it; elsewhere it is 0.
 */
export function watchStalled(pid: number): () => number {
  const waited = () => waitedFor('self') + waitedFor(pid)
  const before = waited()
  return () => Math.max(0, Math.round(waited() - before))
}

/** The second number of schedstat: nanoseconds spent waiting on a run queue. */
function waitedFor(process: number | 'self'): number {
  try {
    return Number(readFileSync(`/proc/${process}/schedstat`, 'utf8').split(' ')[1]) / 1e6
  } catch {
    return 0
  }
}
