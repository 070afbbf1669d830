import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BUILT, DELETED, EDITED } from './builder.ts'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** A git repository, and what is typed in it. */
export type Repository = ReturnType<typeof repository>

export function repository(folder: string) {
  const env = {
    PATH: `${join(ROOT, 'node_modules/.bin')}:${process.env['PATH']}`,
    // Outside of the repository: npm writes there.
    HOME: dirname(folder),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Builder',
    GIT_AUTHOR_EMAIL: 'builder@example.org',
    GIT_COMMITTER_NAME: 'Builder',
    GIT_COMMITTER_EMAIL: 'builder@example.org',
  }
  const typed: string[] = []
  const run = (command: string, args: readonly string[]) =>
    execFileSync(command, args, {
      cwd: folder,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim()
  const git = (...args: string[]) => run('git', args)
  return {
    folder,
    env,
    /** The commands that a person would have typed, in their order. */
    typed,
    git,
    read: (path: string) => readFileSync(join(folder, path), 'utf8'),
    has: (path: string) => existsSync(join(folder, path)),
    write(path: string, text: string | null) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      if (text === null) rmSync(join(folder, path))
      else writeFileSync(join(folder, path), text)
    },
    /** As somebody types it; it fails with what was said. */
    type(line: string): string {
      typed.push(line)
      try {
        return run('sh', ['-c', line])
      } catch (error) {
        const { stdout, stderr } = error as { stdout?: string; stderr?: string }
        throw new Error(`${line}\n${stdout ?? ''}${stderr ?? ''}`)
      }
    },
    commit(message: string) {
      git('add', '-A')
      git('commit', '-q', '-m', message)
    },
  }
}

/** What the release before this one was like: in the inbox, an example, the README, a dependency, with a file more and one less. */
const BEFORE: Readonly<Record<string, (text: string) => string | null>> = {
  'package.json': text =>
    text
      .replace(/"version": "[^"]+"/, '"version": "0.0.9"')
      .replace(/"undici": "[^"]+"/, '"undici": "8.13.0"'),
  'README.md': text => text.replace('# revento-starter\n', '# revento-starter, the release before\n'),
  'CHANGELOG.md': text => text.slice(0, text.length / 2),
  Dockerfile: text => text.replace('EXPOSE 3000', '# Of the release before.\nEXPOSE 3000'),
  'src/webhooks/inbox/inbox.ts': text => `// Of the release before.\n${text}\nexport const before = 1\n`,
  'src/integration/handlers/log-event.ts': text => `// Of the release before.\n${text}`,
  'src/http/before.ts': () => 'export const before = 1\n',
  'test/http/html.test.ts': () => null,
}
export const CHANGED = 'src/webhooks/inbox/inbox.ts'
export const ONLY_BEFORE = 'src/http/before.ts'
export const ONLY_NOW = 'test/http/html.test.ts'

/** The template with two releases: the one before, which is made up, and this one as it stands in the working tree. */
export function makeTemplate(folder: string): Repository {
  const template = repository(folder)
  mkdirSync(folder)
  template.git('init', '-q', '-b', 'main')
  const files = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8' }).split('\0')
  const now = files.filter(path => path !== '' && existsSync(join(ROOT, path)))
  for (const path of now) cpSync(join(ROOT, path), join(folder, path))
  const originals = Object.keys(BEFORE).map(
    path => [path, template.has(path) ? template.read(path) : null] as const,
  )
  for (const [path, edit] of Object.entries(BEFORE)) {
    const text = template.has(path) ? template.read(path) : ''
    const before = edit(text)
    if (before === text) throw new Error(`${path}: the release before would be the same`)
    template.write(path, before)
  }
  template.commit('Version 0.0.9')
  template.git('tag', 'v0.0.9')
  for (const [path, text] of originals) template.write(path, text)
  template.commit('This version')
  return template
}

/** A project that somebody made of the release before: with the template's history, or as a copy of its files. */
export function cloneBefore(template: Repository, folder: string, how: 'history' | 'copy'): Repository {
  const mine = repository(folder)
  if (how === 'history')
    execFileSync('git', ['clone', '-q', '--branch', 'v0.0.9', template.folder, folder], { stdio: 'pipe' })
  else {
    mkdirSync(folder)
    execFileSync('sh', ['-c', `git -C '${template.folder}' archive v0.0.9 | tar -x -C '${folder}'`])
    mine.git('init', '-q')
    mine.commit('Initial commit')
  }
  mine.git('checkout', '-q', '-B', 'main')
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  writeFileSync(join(folder, '.git/info/exclude'), 'node_modules\n')
  return mine
}

/** Renamed by the command, then with what a builder writes. */
export function build(mine: Repository): void {
  mine.type('npm run -s mine -- badges')
  mine.type('git add -A && git commit -qm "Make it ours"')
  for (const path of DELETED) mine.write(path, null)
  for (const [path, text] of Object.entries(BUILT)) mine.write(path, text)
  mine.write(EDITED.path, mine.read(EDITED.path).replace(EDITED.from, EDITED.to))
  const manifest = JSON.parse(mine.read('package.json'))
  manifest.scripts.badges = 'node src/integration/scripts/read.ts'
  mine.write('package.json', `${JSON.stringify(manifest, null, 2)}\n`)
  mine.commit('Badges')
}
