/** The known name closest to `name` by edit distance, if it is close enough for `name` to be a typing error. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  const most = Math.max(2, name.length / 4)
  const [best] = names
    .map(known => ({ known, distance: distance(name, known, most) }))
    .sort((a, b) => a.distance - b.distance)
  return best && best.distance > 0 && best.distance <= most ? best.known : undefined
}

/** The Levenshtein distance, row by row; infinite above `most`, because most names differ from the beginning. */
function distance(a: string, b: string, most: number): number {
  if (Math.abs(a.length - b.length) > most) return Number.POSITIVE_INFINITY
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 0; i < a.length; i += 1) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j += 1)
      next.push(Math.min((row[j] ?? 0) + (a[i] === b[j] ? 0 : 1), (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    if (Math.min(...next) > most) return Number.POSITIVE_INFINITY
    row = next
  }
  return row[b.length] ?? 0
}
