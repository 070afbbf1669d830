const ISO_8601 = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?$/

/** The moment (ms since 1970) that a time of an envelope names; undefined where it names none. Without a zone: UTC. */
export function momentOf(time: unknown): number | undefined {
  const match = typeof time === 'string' ? ISO_8601.exec(time) : null
  const ms = match ? Date.parse(match[3] ? match[0] : `${match[0]}Z`) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}
