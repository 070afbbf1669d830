import { cpSync, existsSync, globSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const root = fileURLToPath(new URL('../../', import.meta.url))
const manifest = JSON.parse(read('package.json')) as {
  version: string
  license: string
  scripts: Record<string, string>
  engines: { node: string }
}

/** Instruction and the rest, comments gone and continued lines joined. */
const steps = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, ' ')
  .split('\n')
  .filter(Boolean)
  .map(line => {
    const [, name = '', rest = ''] = /^(\w+) (.*)$/.exec(line) ?? []
    return { name, rest }
  })
const all = (name: string) => steps.filter(step => step.name === name).map(({ rest }) => rest)
const only = (name: string) => {
  expect(all(name)).toHaveLength(1)
  return all(name)[0] ?? ''
}
const env = Object.fromEntries(
  all('ENV').flatMap(rest => rest.split(/\s+/).map(pair => pair.split('=', 2) as [string, string])),
)

test('the image stands on a slim one of the Node major that the app needs: a build takes its newest release', () => {
  const [, major, kind] = /^node:(\d+)-\w+-(\w+)$/.exec(only('FROM')) ?? []
  expect(manifest.engines.node).toMatch(new RegExp(`^>=${major}\\.\\d+\\.\\d+$`))
  expect(kind).toBe('slim')
})

test('neither tools nor a second Node nor a cache are in the image, and no script of a package runs', () => {
  const [install = ''] = all('RUN')
  expect(install).toMatch(/^npm ci --omit=dev --omit=optional --ignore-scripts --cache (\S+) && rm -rf \1/)
})

test('the image runs as a user by number that is not root, who owns /data and nothing else', () => {
  expect(only('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/)
  expect(all('RUN').at(-1)).toBe(`mkdir -m 700 /data && chown ${only('USER')} /data`)
  expect(only('VOLUME')).toBe('/data')
  for (const copy of all('COPY')) expect(copy).not.toContain('--chown')
  expect(steps.findIndex(s => s.name === 'USER')).toBeGreaterThan(steps.findLastIndex(s => s.name === 'RUN'))
})

test('with a read-only root everything that is written goes to /data, SQLite’s temporary files too', () => {
  expect(env).toEqual({
    NODE_ENV: 'production',
    HOST: '0.0.0.0',
    DATABASE_URL: expect.stringMatching(/^sqlite:\/data\//),
    SQLITE_TMPDIR: '/data',
  })
})

test('SIGTERM reaches node itself: exec form, and no shell or npm in between', () => {
  expect(all('ENTRYPOINT')).toEqual([])
  expect(only('STOPSIGNAL')).toBe('SIGTERM')
  const command = JSON.parse(only('CMD')) as string[]
  expect(command[0]).toBe('node')
  expect(command.join(' ')).toBe(manifest.scripts['start'])
})

test('the health check is node itself, asking the port that the app listens on', () => {
  const [, options = '', command = ''] = /^((?:--\S+ )+) *CMD (\[.*\])$/.exec(only('HEALTHCHECK')) ?? []
  expect(options).toMatch(/--interval=\d+s --timeout=\d+s/)
  const [program, flag, script] = JSON.parse(command) as string[]
  expect([program, flag]).toEqual(['node', '-e'])
  expect(script).toContain('/health')
  expect(script).toContain('process.env.PORT ?? 3000')
  expect(only('EXPOSE')).toBe('3000')
})

test('the labels say what the image is', () => {
  const labels = Object.fromEntries([...only('LABEL').matchAll(/([\w.]+)="([^"]*)"/g)].map(m => [m[1], m[2]]))
  expect(labels).toEqual({
    'org.opencontainers.image.title': 'revento-starter',
    'org.opencontainers.image.description': expect.stringMatching(/\S/),
    'org.opencontainers.image.version': manifest.version,
    'org.opencontainers.image.licenses': manifest.license,
    'org.opencontainers.image.base.name': `docker.io/library/${only('FROM')}`,
  })
})

test('neither the sandbox nor the drill is in the image, and nothing that is in it needs them', () => {
  const left = read('.dockerignore').match(/^src\/.+$/gm) ?? []
  const tools = ['drill', 'drill.ts', 'dev', 'dev.ts', 'sandbox.ts'].map(name => `src/cli/develop/${name}`)
  expect(left).toEqual(['src/sandbox', ...tools])
  const isLeft = (path: string) => left.some(out => path === out || path.startsWith(`${out}/`))
  const sources = globSync('src/**/*.{ts,js}', { cwd: root }).filter(path => !isLeft(path))
  expect(sources).toContain('src/cli/develop/go-live.ts')
  const needed = sources.flatMap(path =>
    [...read(path).matchAll(/(?:from |import\()'(\.[^']+)'/g)].map(([, to = '']) => [
      path,
      join(path, '..', to),
    ]),
  )
  expect(needed.filter(([, to = '']) => isLeft(to))).toEqual([['src/main.ts', 'src/sandbox/beside.ts']])
})

test('the image, started as development, says that there is no sandbox and what to set', async () => {
  const folder = testFolder()
  const left = read('.dockerignore').match(/^src\/.+$/gm) ?? []
  for (const path of ['package.json', 'src'])
    cpSync(join(root, path), join(folder, path), { recursive: true })
  for (const path of left) rmSync(join(folder, path), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const port = String(await freePort())
  const app = node(['src/main.ts'], { cwd: folder, env: { PORT: port } })
  expect(await app.ended).toBe(1)
  expect(app.output.err).toMatch(/^There is no sandbox here\. .*\n {2}REVENTO_CLIENT_ID=…\n/)
})

test('.dockerignore lets through what the image copies, and what the operator runs is in it', () => {
  const allowed = read('.dockerignore')
    .split('\n')
    .flatMap(line => (line.startsWith('!') ? [line.slice(1)] : []))
  const copied = all('COPY').flatMap(rest => rest.split(' ').slice(0, -1))
  expect(new Set(copied)).toEqual(new Set(allowed))
  for (const path of copied) expect(existsSync(new URL(`../../${path}`, import.meta.url))).toBe(true)
  for (const name of ['deliveries', 'reseal'])
    expect(manifest.scripts[name]).toMatch(/^node src\/cli\/operate\/[\w-]+\.ts$/)
})
