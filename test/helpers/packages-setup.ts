import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** These packages have 700 files, which the program reads at each start: half of what a start costs. */
const NAMES = [
  ...['kysely', 'kysely/migration', 'undici', 'fastify', '@fastify/cookie', '@fastify/formbody'],
  ...['@opentelemetry/api', '@prometheus-io/client', 'close-with-grace', 'pg'],
]
const MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url))

const HOOK = `import { registerHooks } from 'node:module'
const packed = new Map(${JSON.stringify(NAMES)}.map(name => [name, new URL(name.replace('/', '_') + '.mjs', import.meta.url).href]))
// Files of a project are named whole, and are no links: Node would ask the disk ten times for each of 340.
registerHooks({
  resolve(name, context, next) {
    if (packed.has(name)) return { url: packed.get(name), format: 'module', shortCircuit: true }
    const isOurs = name.startsWith('.') && name.endsWith('.ts') && !context.parentURL?.includes('/node_modules/')
    if (!isOurs) return next(name, context)
    return { url: new URL(name, context.parentURL).href, format: 'module-typescript', shortCircuit: true }
  },
})
`

/**
 * Bundles each of these packages into one file, once a run, and every process of the suite loads that. The lab, the drill
 * and `npm start` load the packages as npm has installed them.
 */
export default async function setup(): Promise<void> {
  const key = createHash('sha256')
    .update(HOOK)
    .update(readFileSync(join(MODULES, '.package-lock.json')))
  const folder = join(MODULES, '.cache', `packages-${key.digest('hex').slice(0, 12)}`)
  if (!existsSync(folder)) await pack(folder)
  const option = `--import=${pathToFileURL(join(folder, 'hook.mjs'))}`
  const { NODE_OPTIONS = '' } = process.env
  if (!NODE_OPTIONS.includes(option)) process.env['NODE_OPTIONS'] = `${NODE_OPTIONS} ${option}`.trim()
}

/** Makes the folder beside its place and then moves it there, so that runs at the same time do not mix their files. */
async function pack(folder: string): Promise<void> {
  mkdirSync(join(MODULES, '.cache'), { recursive: true })
  const made = mkdtempSync(`${folder}-`)
  // Tests start processes as other users, which have to read the folder.
  chmodSync(made, 0o755)
  const bundle = await (await bundler())({
    input: Object.fromEntries(NAMES.map(name => [name.replace('/', '_'), name])),
    cwd: MODULES,
    platform: 'node',
  })
  const names = { entryFileNames: '[name].cjs', chunkFileNames: 'chunk-[hash].cjs' }
  await bundle.write({ dir: made, format: 'cjs', exports: 'named', ...names })
  for (const name of NAMES) writeFileSync(join(made, `${name.replace('/', '_')}.mjs`), await module(name))
  writeFileSync(join(made, 'hook.mjs'), HOOK)
  try {
    renameSync(made, folder)
  } catch (error) {
    rmSync(made, { recursive: true })
    if (!existsSync(folder)) throw error
  }
}

/** Returns the text of a module that exports, under the same names, all that the package exports. */
async function module(name: string): Promise<string> {
  const exported = Object.keys(await import(name)).filter(key => /^\w+$/.test(key))
  const own = exported.filter(key => key !== 'default')
  const lines = [
    `import all from './${name.replace('/', '_')}.cjs'`,
    `export const { ${own.join(', ')} } = all`,
  ]
  return [...lines, ...(exported.includes('default') ? ['export default all'] : []), ''].join('\n')
}

interface Bundle {
  write(output: object): Promise<unknown>
}

/** Loads the bundler that comes with Vitest. */
async function bundler(): Promise<(input: object) => Promise<Bundle>> {
  const at = ['vitest', 'vite', 'rolldown'].reduce(
    (from, name) => createRequire(from).resolve(name),
    import.meta.filename,
  )
  return (await import(pathToFileURL(at).href)).rolldown
}
