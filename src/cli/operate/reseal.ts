import { existsSync } from 'node:fs'
import { checkKeys, type SealingSettings } from '../../keys/open-sealed.ts'
import { reseal } from '../../keys/reseal.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { storeName } from '../../storage/database.ts'
import { print, Refused, readSettings, runCommand, stderrLog, Unusable } from '../command.ts'
import { onStore, writing } from '../store.ts'

const HELP = `Usage: npm run reseal

The last step but one of changing the encryption key. Seals every token and verifier that is under
ENCRYPTION_KEY_PREVIOUS again with ENCRYPTION_KEY, in small batches while the app runs, and says how many are left.
It may be stopped and repeated. Settings come from .env and the environment, as for npm start.

  1. Set ENCRYPTION_KEY to the new key and ENCRYPTION_KEY_PREVIOUS to the old one; restart the app, of several instances
     one after the other. The new key is used once every instance has it.
  2. npm run reseal
  3. When 0 values are left, remove ENCRYPTION_KEY_PREVIOUS and restart the app.

Exit code: 0 when nothing is left, else 1.
`

async function main(): Promise<number> {
  const config = readSettings()
  return onStore(config.store, () => resealDatabase(config))
}

async function resealDatabase(config: SealingSettings): Promise<number> {
  const { store } = config
  if (store.kind === 'sqlite' && !existsSync(store.path))
    throw new Refused(`There is no ${store.path}: check DATABASE_URL.`)
  const { sealer, known } = await checkKeys(config, runtime)
  const [current, previous] = sealer.keys
  if (known.length === 0) throw new Refused(`${storeName(store)} has no key yet: check DATABASE_URL.`)
  // An app that still has the old key only could not read the values that this command seals.
  if (known[0]?.id !== current)
    throw new Refused(
      'The app does not use this ENCRYPTION_KEY yet: restart every instance with it, then run this again.',
    )
  const toDo = known.reduce((sum, key) => sum + (key.id === current ? 0 : key.values), 0)
  print(`${values(toDo)} under another key than ENCRYPTION_KEY`)
  const progress = (left: number) => print(`  ${left} left`)
  return writing(store, async query =>
    report(await reseal({ query, sealer, runtime, log: stderrLog, progress }), previous),
  )
}

function report(left: ReadonlyMap<string, number>, previous: string | undefined): number {
  for (const [key, count] of left) {
    const why =
      key === previous
        ? 'the previous key: an app that still has the old ENCRYPTION_KEY sealed them meanwhile. Restart it with the ' +
          'new one and run this again.'
        : `key ${key}, which was not given: give it as ENCRYPTION_KEY_PREVIOUS and run this again.`
    print(`${values(count)} left under ${why}`)
  }
  if (left.size > 0) return 1
  const removable =
    previous === undefined ? 'is not set' : 'can be removed once every process has the new key'
  print(`0 values left under the previous key: ENCRYPTION_KEY_PREVIOUS ${removable}`)
  return 0
}

const values = (count: number) => (count === 1 ? '1 value' : `${count} values`)

await runCommand({
  name: 'reseal',
  help: HELP,
  options: {},
  main,
  explain: error =>
    error instanceof Unusable ? `${error.message}\nWhat was done stays: run this again then.` : undefined,
})
