/** The fields of a query or form that stand there exactly once. Undefined when any stands twice (RFC 6749 section 3.1). */
export function single(fields: unknown): ReadonlyMap<string, string> | undefined {
  const found = new Map<string, string>()
  for (const [name, value] of Object.entries(fields ?? {})) {
    if (typeof value !== 'string') return undefined
    found.set(name, value)
  }
  return found
}

/** The same for one field, whatever the others look like. */
export function one(fields: unknown, name: string): string | undefined {
  const value: unknown = Object.entries(fields ?? {}).find(([key]) => key === name)?.[1]
  return typeof value === 'string' ? value : undefined
}
