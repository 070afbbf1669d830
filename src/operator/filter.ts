import type { DeliveryState } from '../storage/schema.ts'

/** A choice of deliveries. Moments are in ms since 1970. */
export interface Filter {
  readonly state?: DeliveryState
  readonly provider?: string
  readonly type?: string
  readonly event_id?: string
  readonly since?: number
  readonly until?: number
}

export const STATES: readonly DeliveryState[] = [
  ...(['pending', 'running', 'done', 'ignored', 'duplicate', 'parked', 'dead'] as const),
]
const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Reads a filter from a form or an address. An empty or unknown value narrows nothing. */
export function readFilter(query: URLSearchParams, now: number): Filter {
  const text = (name: string) => query.get(name)?.trim().slice(0, 200) || undefined
  const state = STATES.find(known => known === text('state'))
  const [provider, type, event_id] = [text('provider'), text('type'), text('event_id')]
  const [since, until] = [readMoment(text('since'), now), readMoment(text('until'), now)]
  return {
    ...(state && { state }),
    ...(provider && { provider }),
    ...(type && { type }),
    ...(event_id && { event_id }),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
  }
}

/** `2h` before now, or a date with or without a time, in UTC; undefined for anything else. */
export function readMoment(text: string | undefined, now: number): number | undefined {
  const [, count = '', unit = ''] = /^([1-9]\d{0,5})([mhd])$/.exec(text ?? '') ?? []
  if (unit) return now - Number(count) * UNITS[unit as keyof typeof UNITS]
  if (!/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z?)?$/.test(text ?? '')) return undefined
  const ms = Date.parse(`${text}`.replace(' ', 'T').replace(/(T[^Z]*)$/, '$1Z'))
  return Number.isNaN(ms) ? undefined : ms
}

/** The filter as the query of an address. */
export function filterQuery(filter: Filter, more: Record<string, string> = {}): string {
  const { since, until, ...texts } = filter
  const iso = (ms: number | undefined) => (ms === undefined ? [] : [new Date(ms).toISOString()])
  const moments = [...iso(since).map(at => ['since', at]), ...iso(until).map(at => ['until', at])]
  return new URLSearchParams([...Object.entries(texts), ...moments, ...Object.entries(more)]).toString()
}

/** The filter in words, such as "dead application.approved of evt_1 since 2026-11-30 02:51 UTC". */
export function filterWords({ state, provider, type, event_id, since, until }: Filter): string {
  const at = (ms: number) => `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`
  return [
    state ?? 'all',
    type,
    provider && `from ${provider}`,
    event_id && `of ${event_id}`,
    since !== undefined && `since ${at(since)}`,
    until !== undefined && `until ${at(until)}`,
  ]
    .filter(part => part)
    .join(' ')
}
