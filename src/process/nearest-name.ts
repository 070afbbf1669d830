/** The known name closest to `name` by edit distance, if it is close enough for `name` to be a typing error. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  const [best] = names
    .map(known => ({ known, distance: distance(name, known) }))
    .sort((a, b) => a.distance - b.distance)
  return best && best.distance > 0 && best.distance <= Math.max(2, name.length / 4) ? best.known : undefined
}

/** Levenshtein, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (const [i, ca] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, cb] of [...b].entries())
      next.push(Math.min((row[j] ?? 0) + (ca === cb ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    row = next
  }
  return row[b.length] ?? 0
}
