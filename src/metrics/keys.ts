import { Gauge, type Registry } from '@prometheus-io/client'
import { canGo, type KeyState } from '../keys/verdict.ts'

/** For who changes a secret or a key: when the old one was last used, and whether it can go. One read for each scrape. */
export function watchKeys(register: Registry, read: () => Promise<readonly KeyState[]>): void {
  let reading: Promise<readonly KeyState[]> | undefined
  const states = () => {
    reading ??= read()
      .catch(() => [])
      .finally(() => {
        reading = undefined
      })
    return reading
  }
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    show: (gauge: Gauge<L>, state: KeyState) => void,
  ) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers: [register],
      async collect() {
        const known = await states()
        // Absent, rather than wrong, where it is not known: a reset leaves a 0 where there are no labels.
        this.reset()
        if (labelNames.length === 0) this.remove()
        for (const state of known) show(this, state)
      },
    })

  const lastUsed = 'key_last_used_timestamp_seconds'
  gauge(lastUsed, 'Last use of a secret or key; absent before the first', ['variable', 'key'], (g, state) => {
    for (const key of ['current', 'previous'] as const) {
      const at = state[key]?.lastUsedAt ?? 0
      if (at > 0) g.set({ variable: state.variable, key }, at / 1000)
    }
  })
  const removable = 'key_previous_removable'
  gauge(removable, '1: _PREVIOUS can be removed; absent where it is not set', ['variable'], (g, state) => {
    if (state.verdict) g.set({ variable: state.variable }, canGo(state) ? 1 : 0)
  })
  const left = 'sealed_values_previous_key'
  gauge(left, 'Values under ENCRYPTION_KEY_PREVIOUS; absent where it is not set', [], (g, state) => {
    if (state.left !== undefined) g.set(state.left)
  })
}
