import { existsSync, readFileSync } from 'node:fs'
import { ConfigError, loadConfig } from '../../../config/settings.ts'
import { settings as own } from '../../../integration/settings.ts'
import { appKeys } from '../../../keys/known-keys.ts'
import { createSealer } from '../../../keys/sealing.ts'
import { canGo, changeText, readKeyStates } from '../../../keys/verdict.ts'
import { type Manifest, nodeTooOld } from '../../../process/manifest.ts'
import { tablesOf } from '../../../storage/migrate.ts'
import { reading } from '../../store.ts'
import { type Finding, failed, ok, type Scene, unsure } from './scene.ts'

const KEY_TODO = 'Set ENCRYPTION_KEY to the output of: openssl rand -base64 32'

/** The settings judged as a start in production judges them: placeholders, sandbox secrets, https, keys. */
export function settings({ env }: Pick<Scene, 'env'>): Finding[] {
  const mode =
    env['NODE_ENV'] === 'production'
      ? ok('production', 'NODE_ENV is production')
      : failed(
          'production',
          'NODE_ENV is not production here',
          'Set NODE_ENV=production where the app runs (the image does).',
        )
  try {
    const { warnings } = loadConfig({ ...env, NODE_ENV: 'production' }, own)
    const told = warnings.map(warning => unsure('settings', ...saidAndTodo(warning)))
    return [
      mode,
      ...(told.length > 0 ? told : [ok('settings', 'every setting would be accepted in production')]),
    ]
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const lines = error.message.split('\n').filter(line => line.startsWith('  '))
    return [mode, ...lines.map(settingOf)]
  }
}

/** A warning may say itself what to type: "what is wrong: what to type". */
function saidAndTodo(warning: string): [said: string, todo: string] {
  const [said = warning, todo = 'correct it, or remove it'] = warning.split(': ')
  return [said, `${todo.charAt(0).toUpperCase()}${todo.slice(1)}.`]
}

/** "  NAME  what is wrong: what to type" */
function settingOf(line: string): Finding {
  const [, name = '', problem = line.trim()] = /^ {2}([A-Z_]+) +(.*)$/.exec(line) ?? []
  const [wrong = problem, ...rest] = problem.split(': ')
  return failed(
    'settings',
    `${name} ${wrong}`.trim(),
    `Set ${name || 'it'} to ${rest.join(': ') || 'a right value'}`,
  )
}

/** The Node of this command, which is the app's where both are run by npm, or in the image. */
export function node(running: string, manifest: Manifest): Finding {
  const tooOld = nodeTooOld(running, manifest)
  return tooOld ? failed('node', tooOld.problem, tooOld.todo) : ok('node', `Node ${running}`)
}

/** Made for this deployment, and not the one that lies beside a development database. */
export function encryptionKey({ config }: Pick<Scene, 'config'>): Finding {
  const { encryptionKey: key, keyFile } = config
  const name = 'encryption key'
  if (!key) return failed(name, 'ENCRYPTION_KEY is not set: the development key file would be used', KEY_TODO)
  if (new Set(key).size < 12) return failed(name, 'ENCRYPTION_KEY is not random', KEY_TODO)
  if (existsSync(keyFile) && readFileSync(keyFile, 'utf8').trim() === key.toString('base64'))
    return failed(name, `ENCRYPTION_KEY is the development key of ${keyFile}`, KEY_TODO)
  const rotating = config.encryptionKeyPrevious
    ? '; when "npm run reseal" says 0, remove ENCRYPTION_KEY_PREVIOUS'
    : ''
  return ok(name, `set, 32 bytes${rotating}`)
}

/** A sender without a secret is 404: better seen here than by the sender. */
export function senders({ config }: Pick<Scene, 'config'>): Finding {
  const on = Object.keys(config.providerSecrets)
  const rotating = Object.entries(config.providerSecrets).flatMap(([name, { previous }]) =>
    previous ? [name] : [],
  )
  const listed = [...on, ...(config.verifyToken ? ['handshake'] : [])].join(', ')
  if (config.mode === 'sandbox')
    return failed(
      'senders',
      "every sender has the sandbox's published secret",
      'Set the secrets that your senders gave you.',
    )
  const previous = rotating.length > 0 ? `; ${rotating.join(', ')} also accepts a previous secret` : ''
  return ok('senders', `taken: ${listed}; every other one is answered 404${previous}`)
}

/** Secrets and keys that are being changed: a door that is left open is worth a look. */
export async function rotation({ config, runtime }: Pick<Scene, 'config' | 'runtime'>): Promise<Finding[]> {
  const { encryptionKey: current, encryptionKeyPrevious: previous, store } = config
  if (!current) return []
  const keys = appKeys(config, createSealer({ current, previous }, runtime))
  if (!keys.some(key => key.previous)) return []
  const findings = await reading(store, async query => {
    if (!(await tablesOf(query)).includes('key_uses')) return []
    // A command cannot watch its clock; what `clock` found stands beside this.
    const states = await readKeyStates(query, keys, runtime, true)
    return states.flatMap(state => {
      if (state.verdict === undefined) return []
      const todo = `Delete ${state.variable}_PREVIOUS where the app runs, and restart it.`
      return [canGo(state) ? unsure('rotation', changeText(state), todo) : ok('rotation', changeText(state))]
    })
  })
  return findings ?? []
}
