import type { Answered, Sighting } from './record.ts'

/** One rule of the threat model: what breaks it, each in words. */
export type Rule = (seen: Sighting) => string[]

export const all = ({ hooks, visits }: Sighting): (Answered & { what?: string; kind?: string })[] => [
  ...hooks,
  ...visits,
]
export const named = ({ what, kind, status, ms }: ReturnType<typeof all>[number]) =>
  `${what ?? `${kind} webhook`} was answered ${status ?? 'nothing'} after ${ms} ms`
