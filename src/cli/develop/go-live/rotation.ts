import { heldKeys } from '../../../keys/known-keys.ts'
import { createSealer } from '../../../keys/sealing.ts'
import { canGo, readKeyStates, toldText } from '../../../keys/verdict.ts'
import { tablesOf } from '../../../storage/migrate.ts'
import { readDatabase } from '../../../storage/open.ts'
import { type Finding, ok, type Scene, unsure } from './finding.ts'

/** Secrets and keys that are being changed: a door that is left open is worth a look. */
export async function rotation({ config, runtime }: Pick<Scene, 'config' | 'runtime'>): Promise<Finding[]> {
  const { encryptionKey: current, encryptionKeyPrevious: previous, store } = config
  if (!current) return []
  const keys = heldKeys(config, createSealer({ current, previous }, runtime))
  const query = keys.some(key => key.previous) ? await readDatabase(store, runtime) : undefined
  if (!query) return []
  try {
    if (!(await tablesOf(query)).includes('key_uses')) return []
    // A command cannot watch its clock; what `clock` found stands beside this.
    const states = await readKeyStates(query, keys, runtime, true)
    return states.flatMap(state => {
      if (state.verdict === undefined) return []
      const todo = `Delete ${state.variable}_PREVIOUS where the app runs, and restart it.`
      return [canGo(state) ? unsure('rotation', toldText(state), todo) : ok('rotation', toldText(state))]
    })
  } finally {
    await query.destroy()
  }
}
