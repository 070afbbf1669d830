/** The known name closest to `name` by edit distance, if it is close enough for `name` to be a typing error. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  const most = Math.max(2, name.length / 4)
  // A start compares each name of the environment with each setting: length alone rules most of them out.
  const [best] = names
    .filter(known => Math.abs(known.length - name.length) <= most)
    .map(known => ({ known, distance: distance(name, known) }))
    .sort((a, b) => a.distance - b.distance)
  return best && best.distance > 0 && best.distance <= most ? best.known : undefined
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
