import { existsSync, readFileSync } from 'node:fs'
import { ConfigError, loadConfig } from '../../../config/settings.ts'
import { settings as own } from '../../../integration/settings.ts'
import { appKeys } from '../../../keys/known-keys.ts'
import { createSealer } from '../../../keys/sealing.ts'
import { canGo, changeText, readKeyStates } from '../../../keys/verdict.ts'
import { type Manifest, nodeTooOld } from '../../../process/manifest.ts'
import { tablesOf } from '../../../storage/migrate.ts'
import { reading } from '../../store.ts'
import { check, type Finding, type Scene } from './scene.ts'

const KEY_TODO = 'Set ENCRYPTION_KEY to the output of: openssl rand -base64 32'

/** Judges the settings as a start in production does: placeholders, sandbox secrets, https, keys. */
export function settings({ env }: Pick<Scene, 'env'>): Finding[] {
  const { ok, failed } = check('production')
  const todo = 'Set NODE_ENV=production where the app runs (the image does).'
  const isSet = env['NODE_ENV'] === 'production'
  const mode = isSet ? ok('NODE_ENV is production') : failed('NODE_ENV is not production here', todo)
  try {
    const { warnings } = loadConfig({ ...env, NODE_ENV: 'production' }, own)
    if (warnings.length > 0) return [mode, ...warnings.map(warned)]
    return [mode, check('settings').ok('every setting would be accepted in production')]
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const lines = error.message.split('\n').filter(line => line.startsWith('  '))
    return [mode, ...lines.map(settingOf)]
  }
}

/** A warning may hold what to type: "what is wrong: what to type". */
function warned(warning: string): Finding {
  const [said = warning, todo = 'correct it, or remove it'] = warning.split(': ')
  return check('settings').unsure(said, `${todo.charAt(0).toUpperCase()}${todo.slice(1)}.`)
}

/** A line of a ConfigError: "  NAME  what is wrong: what to type". */
function settingOf(line: string): Finding {
  const [, name = '', problem = line.trim()] = /^ {2}([A-Z_]+) +(.*)$/.exec(line) ?? []
  const [wrong = problem, ...rest] = problem.split(': ')
  const todo = `Set ${name || 'it'} to ${rest.join(': ') || 'a right value'}`
  return check('settings').failed(`${name} ${wrong}`.trim(), todo)
}

/** Judges the Node of this command. The app has the same where npm runs both, and in the image. */
export function node(running: string, manifest: Manifest): Finding {
  const { ok, failed } = check('node')
  const tooOld = nodeTooOld(running, manifest)
  return tooOld ? failed(tooOld.problem, tooOld.todo) : ok(`Node ${running}`)
}

/** The key must be made for this deployment, and not be the one beside a development database. */
export function encryptionKey({ config }: Pick<Scene, 'config'>): Finding {
  const { encryptionKey: key, keyFile } = config
  const { ok, failed } = check('encryption key')
  if (!key) return failed('ENCRYPTION_KEY is not set: the development key file would be used', KEY_TODO)
  if (new Set(key).size < 12) return failed('ENCRYPTION_KEY is not random', KEY_TODO)
  if (existsSync(keyFile) && readFileSync(keyFile, 'utf8').trim() === key.toString('base64'))
    return failed(`ENCRYPTION_KEY is the development key of ${keyFile}`, KEY_TODO)
  const rotating = config.encryptionKeyPrevious
    ? '; when "npm run reseal" says 0, remove ENCRYPTION_KEY_PREVIOUS'
    : ''
  return ok(`set, 32 bytes${rotating}`)
}

/** A sender without a secret is answered 404, which is better seen here than by the sender. */
export function senders({ config }: Pick<Scene, 'config'>): Finding {
  const { ok, failed } = check('senders')
  const on = Object.keys(config.providerSecrets)
  const rotating = Object.entries(config.providerSecrets).flatMap(([name, { previous }]) =>
    previous ? [name] : [],
  )
  const listed = [...on, ...(config.verifyToken ? ['handshake'] : [])].join(', ')
  if (config.mode === 'sandbox')
    return failed(
      "every sender has the sandbox's published secret",
      'Set the secrets that your senders gave you.',
    )
  const previous = rotating.length > 0 ? `; ${rotating.join(', ')} also accepts a previous secret` : ''
  return ok(`taken: ${listed}; every other one is answered 404${previous}`)
}

/** Secrets and keys that are being changed: a previous one that can go should go. */
export async function rotation({ config, runtime }: Pick<Scene, 'config' | 'runtime'>): Promise<Finding[]> {
  const { encryptionKey: current, encryptionKeyPrevious: previous, store } = config
  if (!current) return []
  const keys = appKeys(config, createSealer({ current, previous }, runtime))
  if (!keys.some(key => key.previous)) return []
  const { ok, unsure } = check('rotation')
  const findings = await reading(store, async query => {
    if (!(await tablesOf(query)).includes('key_uses')) return []
    // A command cannot watch its clock: the result of the check `clock` stands beside this one.
    const states = await readKeyStates(query, keys, runtime, true)
    return states.flatMap(state => {
      if (state.verdict === undefined) return []
      const todo = `Delete ${state.variable}_PREVIOUS where the app runs, and restart it.`
      return [canGo(state) ? unsure(changeText(state), todo) : ok(changeText(state))]
    })
  })
  return findings ?? []
}
