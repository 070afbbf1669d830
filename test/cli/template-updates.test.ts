import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { makeFolder, testFolder } from '../helpers/folder.ts'

const CLI = fileURLToPath(new URL('../../src/cli/template/', import.meta.url))
const CORE = Array.from({ length: 30 }, (_, i) => `export const line${i} = ${i}`)
const PARTS = {
  template: { holds: 'promises', paths: ['test/template'] },
  radio: { holds: 'the radio', paths: ['src/radio'], scripts: ['hear'] },
}
const START = {
  'README.md': '# The template\n',
  'CHANGELOG.md': '# Changes\n',
  'src/core.ts': `${CORE.join('\n')}\n`,
  'src/cli/template/parts.json': JSON.stringify(PARTS),
  'src/main.ts': `import { radio } from './radio/index.ts' // part: radio
export const main = [
  'app',
  // part: radio {
  radio,
  // part: radio }
]
`,
  'src/radio/index.ts': 'export const radio = 1\n',
  'test/radio.test.ts':
    "import { radio } from '../src/radio/index.ts'\nimport './ears.ts'\nimport './eyes.ts'\nimport { a } from 'hearing'\n",
  'test/ears.ts': "import './drum.ts'\n",
  'test/drum.ts': '// of the ear\n',
  'test/eyes.ts': '// for all\n',
  'test/uses.test.ts': "import './radio.test.ts'\n",
  'test/waves.test.ts': '// part: radio\n',
  'test/main.test.ts':
    "import { main } from '../src/main.ts'\nimport './eyes.ts'\nimport { a } from 'seeing'\n",
  'src/integration/handlers/index.ts': 'export const handlers = {}\n',
  'test/template/names.test.ts': 'the name is the-template\n',
  'package.json': `${JSON.stringify({ name: 'the-template', version: '1.0.0', scripts: { start: 'node a', hear: 'sh b', radio: 'node src/radio/index.ts' }, dependencies: { fastify: '5.0.0', pg: '8.0.0' }, devDependencies: { biome: '2.0.0', hearing: '1.0.0', seeing: '1.0.0' } }, null, 2)}\n`,
  'package-lock.json': `${JSON.stringify({ name: 'the-template', version: '1.0.0', packages: { '': { name: 'the-template', version: '1.0.0' } } }, null, 2)}\n`,
}
type Files = Record<string, string | null>

/** A small repository: what git does with a file does not depend on what is in it. */
function repository(folder: string) {
  const env = { ...process.env, HOME: folder, GIT_CONFIG_NOSYSTEM: '1' }
  const asAuthor = {
    ...env,
    ...{ GIT_AUTHOR_NAME: 't', GIT_AUTHOR_EMAIL: 't@example.org' },
    ...{ GIT_COMMITTER_NAME: 't', GIT_COMMITTER_EMAIL: 't@example.org' },
  } as Record<string, string>
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
      cwd: folder,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim()
  return {
    folder,
    git,
    read: (path: string) => readFileSync(join(folder, path), 'utf8'),
    has: (path: string) => existsSync(join(folder, path)),
    write(files: Files) {
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, path)), { recursive: true })
        if (text === null) rmSync(join(folder, path), { recursive: true })
        else writeFileSync(join(folder, path), text)
      }
    },
    commit(message: string) {
      const all = 'git add -A && git commit -q -m "$0" && git rev-parse HEAD'
      return execFileSync('sh', ['-c', all, message], { cwd: folder, env: asAuthor, encoding: 'utf8' }).trim()
    },
    /** As a process of its own: of this one, which is large, each of the fifty that it starts would cost ten times as much. */
    async run(command: 'mine' | 'update' | 'remove', ...args: string[]) {
      const child = node([join(CLI, `${command}.ts`), ...args], { cwd: folder, env: asAuthor })
      const code = await child.ended
      return { code, said: child.output.out + child.output.err }
    },
  }
}
type Repository = ReturnType<typeof repository>

/** What a year brings: on the builder's side, and on the template's. */
const BUILT: Files = {
  'README.md': '# Badges\n',
  'src/integration/handlers/index.ts': 'export const handlers = { badge: 1 }\n',
  'src/integration/badge.ts': 'export const badge = 1\n',
  'src/core.ts': `${CORE.with(28, 'export const line28 = "mine"').join('\n')}\n`,
}
const NEWER: Files = {
  'README.md': '# The template, newer\n',
  'CHANGELOG.md': '# Changes\n\n## 1.1.0\n',
  'src/core.ts': `${CORE.with(2, 'export const line2 = "newer"').join('\n')}\n`,
  'src/moved.ts': 'export const moved = 1\n',
  'src/main.ts': START['src/main.ts'].replace("'app'", "'newer app'").replace('  radio,', '  radio, 2'),
  'src/radio/index.ts': 'export const radio = 2\n',
  'src/radio/more.ts': 'export const more = 1\n',
  'test/newer.test.ts': "import { more } from '../src/radio/more.ts'\n",
  'src/integration/handlers/index.ts': 'export const handlers = { example: 1 }\n',
  'src/integration/example.ts': 'export const example = 1\n',
  'src/reads.ts':
    "import { sync } from './integration/sync.ts'\nimport { handlers } from './integration/handlers/index.ts'\n",
  'src/integration/sync.ts': "import { often } from './often.ts'\n",
  'src/integration/often.ts': 'export const often = 1\n',
  'test/template/names.test.ts': 'the name is still the-template\n',
  'package.json': START['package.json']
    .replaceAll('1.0.0', '1.1.0')
    .replace('"5.0.0"', '"5.1.0"')
    .replace('"hearing": "1.0.0"', '"hearing": "1.1.0"'),
  'test/drum.ts': '// of the ear, newer\n',
  'package-lock.json': START['package-lock.json'].replaceAll('1.0.0', '1.1.0'),
}

type How = 'with history' | 'as a copy'

/** Made once: a test has copies of them, because git takes a hundred processes to make one. */
const made = makeFolder()
const clones = new Map<How, Repository>()
const clonesOfOurs = new Map<How, Repository>()
afterAll(made.remove)
let origin: Repository
let first: string
beforeAll(() => {
  origin = newRepository('template')
  origin.write(START)
  first = origin.commit('The template')
})
let template: Repository
beforeEach(() => {
  template = copyOf(origin)
})

function newRepository(name: string): Repository {
  const one = repository(join(made.path, name))
  mkdirSync(one.folder)
  one.git('init', '-q', '-b', 'main')
  return one
}

function copyOf({ folder }: Repository): Repository {
  const copy = repository(testFolder())
  cpSync(folder, copy.folder, { recursive: true })
  return copy
}

function clone(how: How): Repository {
  const known = clones.get(how)
  if (known) return copyOf(known)
  const one = how === 'as a copy' ? newRepository(how) : repository(join(made.path, how))
  if (how === 'as a copy') {
    one.write(START)
    one.commit('Initial commit')
  } else origin.git('clone', '-q', '.', one.folder)
  clones.set(how, one)
  return copyOf(one)
}

/** A clone that is called badges and has handlers of its own. */
async function cloneOfOurs(how: How): Promise<Repository> {
  const known = clonesOfOurs.get(how)
  if (known) return copyOf(known)
  const one = repository(join(made.path, `${how}, ours`))
  cpSync(clone(how).folder, one.folder, { recursive: true })
  await makeMine(one)
  clonesOfOurs.set(how, one)
  return copyOf(one)
}

async function makeMine(mine: Repository) {
  expect(await mine.run('mine', 'badges')).toMatchObject({ code: 0 })
  mine.commit('Make it ours')
  mine.write(BUILT)
  const manifest = JSON.parse(mine.read('package.json'))
  manifest.dependencies.nodemailer = '9.0.0'
  mine.write({ 'package.json': `${JSON.stringify(manifest, null, 2)}\n` })
  return mine.commit('Badges')
}

function release() {
  template.write(NEWER)
  return template.commit('Version 1.1.0')
}

test('mine renames the package, remembers the template, and removes what only the template promises', async () => {
  const mine = clone('with history')
  expect(await mine.run('mine', 'badges')).toMatchObject({ code: 0 })
  expect(JSON.parse(mine.read('package.json'))).toMatchObject({
    name: 'badges',
    version: '1.0.0',
    template: { version: '1.0.0', commit: first },
  })
  expect(JSON.parse(mine.read('package-lock.json'))).toMatchObject({
    name: 'badges',
    packages: { '': { name: 'badges' } },
  })
  expect(mine.has('test/template')).toBe(false)
  mine.commit('Make it ours')
  expect(await mine.run('mine', 'again')).toMatchObject({ code: 1, said: /yours already: badges/ })
})

test.each(['with history', 'as a copy'] as const)(
  'an update of a clone %s has no conflict, and keeps what is yours',
  async how => {
    const mine = await cloneOfOurs(how)
    const newer = release()
    mine.git('fetch', '-q', template.folder, 'main')
    const { code, said } = await mine.run('update', 'FETCH_HEAD')
    expect([code, said]).toEqual([0, expect.stringMatching(/1\.0\.0 \(\w{10}\) → 1\.1\.0/)])
    expect(mine.git('status', '--porcelain')).toBe('')
    expect(mine.read('src/core.ts')).toContain('line2 = "newer"')
    expect(mine.read('src/core.ts')).toContain('line28 = "mine"')
    expect([
      mine.has('src/moved.ts'),
      mine.has('test/template'),
      mine.has('src/integration/example.ts'),
    ]).toEqual([true, false, false])
    const added = ['src/integration/sync.ts', 'src/integration/often.ts']
    expect([added.filter(mine.has), said]).toEqual([
      added,
      expect.stringContaining(`app now reads:\n${added.map(path => `  ${path}\n`).join('')}`),
    ])
    expect([mine.read('README.md'), mine.read('src/integration/handlers/index.ts')]).toEqual([
      BUILT['README.md'],
      BUILT['src/integration/handlers/index.ts'],
    ])
    expect(JSON.parse(mine.read('package.json'))).toEqual({
      name: 'badges',
      version: '1.0.0',
      template: { version: '1.1.0', commit: newer },
      scripts: { start: 'node a', hear: 'sh b', radio: 'node src/radio/index.ts' },
      dependencies: { fastify: '5.1.0', pg: '8.0.0', nodemailer: '9.0.0' },
      devDependencies: { biome: '2.0.0', hearing: '1.1.0', seeing: '1.1.0' },
    })
    expect(JSON.parse(mine.read('package-lock.json'))).toMatchObject({ name: 'badges', version: '1.0.0' })
    expect(await mine.run('update', 'FETCH_HEAD')).toMatchObject({
      code: 0,
      said: expect.stringContaining('Nothing to do'),
    })

    // From now on the histories are joined.
    template.write({ 'src/core.ts': template.read('src/core.ts').replace('line9 = 9', 'line9 = "last"') })
    template.commit('Version 1.2.0')
    mine.git('fetch', '-q', template.folder, 'main')
    expect(await mine.run('update', 'FETCH_HEAD')).toMatchObject({ code: 0 })
    expect(mine.read('src/core.ts')).toContain('line9 = "last"')
  },
)

test('what both sides changed is named, and nothing is changed', async () => {
  const mine = await cloneOfOurs('with history')
  mine.write({ 'src/core.ts': `${CORE.with(2, 'export const line2 = "mine"').join('\n')}\n` })
  const head = mine.commit('An edit of ours')
  release()
  mine.git('fetch', '-q', template.folder, 'main')
  const { code, said } = await mine.run('update', 'FETCH_HEAD')
  expect([code, said]).toEqual([
    1,
    expect.stringContaining('Both sides changed:\n  src/core.ts\nNothing was changed here.'),
  ])
  expect([mine.git('rev-parse', 'HEAD'), mine.git('status', '--porcelain')]).toEqual([head, ''])

  expect(await mine.run('update', 'FETCH_HEAD', '--by-hand')).toMatchObject({
    code: 1,
    said: expect.stringContaining('git merge --abort'),
  })
  expect(mine.git('diff', '--name-only', '--diff-filter=U')).toBe('src/core.ts')
  expect(mine.read('src/core.ts')).toMatch(/<<<<<<< .*line2 = "mine".*line2 = "newer".*>>>>>>> /s)
  mine.git('merge', '--abort')
  expect([mine.git('rev-parse', 'HEAD'), mine.git('status', '--porcelain')]).toEqual([head, ''])

  await mine.run('update', 'FETCH_HEAD', '--by-hand')
  mine.write({ 'src/core.ts': 'export const settled = 1\n' })
  mine.git('add', '-A')
  mine.git('commit', '-q', '--no-edit')
  expect(await mine.run('update', 'FETCH_HEAD')).toMatchObject({
    code: 0,
    said: expect.stringContaining('Nothing to do'),
  })
})

test.each(['with history', 'as a copy'] as const)(
  'a part goes with its lines and tests, and no update of a clone %s brings it back',
  async how => {
    const theirs = clone(how)
    expect(await theirs.run('remove', 'radio')).toMatchObject({ code: 1, said: /npm run mine -- NAME first/ })
    expect(theirs.git('status', '--porcelain')).toBe('')
    const mine = await cloneOfOurs(how)
    expect(await mine.run('remove', 'radar')).toMatchObject({ code: 1, said: /radar is no part: radio/ })
    expect(await mine.run('remove', 'radio')).toMatchObject({ code: 0, said: /Without radio: src had \d+/ })
    mine.commit('No radio')
    expect(mine.read('src/main.ts')).toBe("export const main = [\n  'app',\n]\n")
    const tests = () => mine.git('ls-files', 'test', 'src/radio')
    expect(tests()).toBe('test/eyes.ts\ntest/main.test.ts')
    expect(JSON.parse(mine.read('package.json'))).toMatchObject({
      scripts: { start: 'node a' },
      template: { without: ['radio'] },
    })
    expect(await mine.run('remove', 'radio')).toMatchObject({ code: 0, said: /Nothing to do/ })

    release()
    mine.git('fetch', '-q', template.folder, 'main')
    const from = how === 'as a copy' ? ['--from', first] : []
    expect(await mine.run('update', 'FETCH_HEAD', ...from)).toMatchObject({ code: 0 })
    expect(mine.read('src/main.ts')).toBe("export const main = [\n  'newer app',\n]\n")
    expect([tests(), mine.git('status', '--porcelain')]).toEqual(['test/eyes.ts\ntest/main.test.ts', ''])
    const manifest = JSON.parse(mine.read('package.json'))
    expect([manifest.scripts, manifest.template.without]).toEqual([{ start: 'node a' }, ['radio']])
    expect(manifest.devDependencies).toEqual({ biome: '2.0.0', seeing: '1.1.0' })
  },
)

test('a part that files of yours use stays, and they are named', async () => {
  const mine = await cloneOfOurs('with history')
  mine.write({ 'src/integration/waves.ts': "import { radio } from '../radio/index.ts'\n" })
  const head = mine.commit('Waves')
  expect(await mine.run('remove', 'radio')).toMatchObject({
    code: 1,
    said: expect.stringMatching(
      /files of yours use radio:\n {2}src\/integration\/waves.ts\nNothing was changed/,
    ),
  })
  expect([mine.git('rev-parse', 'HEAD'), mine.git('status', '--porcelain')]).toEqual([head, ''])
})

test('a dirty tree, a half-done merge, no stamp and an unknown one are refused with the next command', async () => {
  const mine = clone('as a copy')
  mine.write({ 'src/other.ts': '// Not as it came.\n' })
  mine.commit('Ours already')
  expect(await mine.run('update', 'HEAD')).toMatchObject({
    code: 1,
    said: expect.stringContaining('npm run mine -- NAME'),
  })
  const head = await makeMine(mine)
  release()
  mine.git('fetch', '-q', template.folder, 'main')
  const refused = async (says: string, ...args: string[]) => {
    const { code, said } = await mine.run('update', ...args)
    expect([code, said]).toEqual([1, expect.stringContaining(says)])
    expect(mine.git('rev-parse', 'HEAD')).toBe(head)
  }
  await refused('--from COMMIT', 'FETCH_HEAD')
  await refused('is no commit of what was fetched', 'FETCH_HEAD', '--from', 'HEAD')
  await refused('There is no v9 here', 'v9')
  mine.write({ 'src/new.ts': '1\n' })
  await refused('?? src/new.ts\nCommit or stash them, then type: npm run update -- FETCH_HEAD', 'FETCH_HEAD')
  mine.write({ '.git/MERGE_HEAD': `${head}\n` })
  await refused('A merge is half done. Finish it, or type: git merge --abort', 'FETCH_HEAD')
})
