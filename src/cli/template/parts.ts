import { dirname, posix } from 'node:path'
import { Usage } from '../command.ts'
import { type Changes, git, type Manifest, manifestAt, tryGit } from './repository.ts'

/** A part that a project may do without. The table of parts is a file, so that each commit is read with its own. */
export interface Part {
  readonly holds: string
  readonly paths: readonly string[]
  /** Its commands that name no file of it. */
  readonly scripts?: readonly string[]
}
export type Parts = Readonly<Record<string, Part>>

export interface Removal {
  readonly changes: Changes
  /** package.json of that commit, without the commands and packages that only these parts used. */
  readonly manifest: Manifest
  /** The builder's own files that use what is gone. */
  readonly users: readonly string[]
}

const TABLE = 'src/cli/template/parts.json'
/** The part for what only the template itself promises. It goes when a project is made somebody's own. */
export const TEMPLATE = 'template'

/** Paths that the template never changes in a clone. */
export const YOURS = ['README.md', 'LICENSE', 'src/integration', 'test/integration']
const OWN_CODE = YOURS.filter(path => path.includes('/'))

/** The table as it stands in that commit; a commit from before it has no parts. */
export const partsAt = (commit: string): Parts => JSON.parse(tryGit('show', `${commit}:${TABLE}`) ?? '{}')

/** Whether a path is one of these, or in one of these folders. */
export const isWithin = (path: string, roots: readonly string[]): boolean =>
  roots.some(root => path === root || path.startsWith(`${root}/`))

/**
 * What changes in the tree of `commit` without these parts: their files go, and so do the lines of other files that are
 * marked with their names. A test goes as a whole where it then still names a file that is gone, and a file of test/ that
 * no test is goes with the last that names it.
 */
export function without(commit: string, names: readonly string[]): Removal {
  const table = partsAt(commit)
  const roots = names.flatMap(name => table[name]?.paths ?? [])
  const paths = pathsIn(commit)
  const changes = new Map<string, string | null>(
    paths.filter(path => isWithin(path, roots)).map(path => [path, null]),
  )
  const isLeft = (path: string) => changes.get(path) !== null
  for (const [path, text] of textsAt(commit, marked(commit).filter(isLeft))) {
    const kept = unmarked(path, text, names)
    if (kept !== text) changes.set(path, kept)
  }
  const code = textsAt(
    commit,
    paths.filter(path => path.endsWith('.ts')),
  )
  const named = (texts: readonly Text[]) => texts.map(([path, text]) => [path, namedIn(path, text)] as const)
  const before = named(code)
  const after = named(code.map(([path, text]) => [path, changes.get(path) ?? text]))
  const using = () => {
    const gone = new Set([...roots, ...paths.filter(path => !isLeft(path))])
    const isUser = (path: string) => isLeft(path) && isWithin(path, ['test', ...OWN_CODE])
    return after.flatMap(([path, files]) =>
      isUser(path) && files.some(file => gone.has(file)) ? [path] : [],
    )
  }
  const scripts = Object.values(manifestAt(commit).scripts ?? {}).map(fileOf)
  const idle = () => {
    const used = new Set([...scripts, ...after.flatMap(([path, files]) => (isLeft(path) ? files : []))])
    const isIdle = (path: string) => isHelper(path) && isLeft(path) && !used.has(path)
    return [...new Set(before.flatMap(([, files]) => files))].filter(isIdle)
  }
  const isOwn = (path: string) => isWithin(path, OWN_CODE)
  for (;;) {
    const tests = [...using(), ...idle()].filter(path => !isOwn(path) && paths.includes(path))
    if (tests.length === 0) break
    for (const path of tests) changes.set(path, null)
  }
  const left = code.flatMap(([path, text]) => (isLeft(path) ? [changes.get(path) ?? text] : []))
  const manifest = manifestWithout(manifestAt(commit), {
    isScriptGone: (name, command) =>
      !isLeft(fileOf(command)) || names.some(part => table[part]?.scripts?.includes(name)),
    isPackageGone: name => imports(name)(code.map(([, text]) => text)) && !imports(name)(left),
  })
  return { changes, manifest, users: using().filter(isOwn) }
}

type Text = readonly [path: string, text: string]

/** The file that a command of package.json runs. */
const fileOf = (command: string): string => /(?:^|\s)((?:src|test)\/\S+)/.exec(command)?.[1] ?? ''

const isHelper = (path: string) => isWithin(path, ['test']) && !path.endsWith('.test.ts')

const imports = (name: string) => (texts: readonly string[]) =>
  texts.some(text => [`from '${name}'`, `from '${name}/`, `import('${name}`].some(one => text.includes(one)))

/** Dependencies stay as they are: a builder's code may use them. */
function manifestWithout(
  manifest: Manifest,
  o: {
    isScriptGone: (name: string, command: string) => boolean
    isPackageGone: (name: string) => boolean
  },
): Manifest {
  const scripts = Object.entries(manifest.scripts ?? {}).filter(
    ([name, command]) => !o.isScriptGone(name, command),
  )
  const packages = Object.entries(manifest.devDependencies ?? {}).filter(([name]) => !o.isPackageGone(name))
  return {
    ...manifest,
    scripts: Object.fromEntries(scripts),
    ...(manifest.devDependencies && { devDependencies: Object.fromEntries(packages) }),
  }
}

/** The files of the builder's folder that this tree, or a file of these, names and `mine` lacks: a new kind of list, say. */
export function lacking(tree: string, theirs: string, mine: string): string[] {
  const [has, offered] = [pathsIn(mine), pathsIn(theirs)].map(paths => new Set(paths))
  const needs = (commit: string, paths: readonly string[]) =>
    textsAt(commit, paths)
      .flatMap(([path, text]) => namedIn(path, text))
      .filter(path => isWithin(path, ['src/integration']) && offered?.has(path) && !has?.has(path))
  const found = new Set<string>()
  let next = needs(
    tree,
    pathsIn(tree).filter(path => isWithin(path, ['src']) && path.endsWith('.ts')),
  )
  while (next.length > 0) {
    for (const path of next) found.add(path)
    next = needs(theirs, next).filter(path => !found.has(path))
  }
  return [...found]
}

const pathsIn = (commit: string): string[] =>
  git(['ls-tree', '-r', '-z', '--name-only', commit]).split('\0').filter(Boolean)

const marked = (commit: string): string[] =>
  (tryGit('grep', '-l', '-z', '-E', '(//|#|<!--) part: [a-z, -]+[{}]?( -->)?$', commit) ?? '')
    .split('\0')
    .filter(Boolean)
    .map(line => line.slice(commit.length + 1))

const MARK = /(?:\/\/|#|<!--) part: ([a-z-]+(?:, [a-z-]+)*)(?: ([{}]))?(?: -->)?$/

/**
 * The text without the marked lines: those that end in `// part: NAME`, and those from `// part: NAME {` to
 * `// part: NAME }`. A first line that is a mark and nothing else stands for the whole file: null.
 */
export function unmarked(path: string, text: string, names: readonly string[]): string | null {
  const kept: string[] = []
  let open: { name: string; isGone: boolean } | undefined
  let wentBefore = false
  for (const [n, line] of text.split('\n').entries()) {
    const [mark, name = '', brace] = MARK.exec(line) ?? []
    const isGone = name.split(', ').some(part => names.includes(part))
    if (n === 0 && mark === line && isGone && brace === undefined) return null
    if (brace === '}' ? name !== open?.name : brace === '{' && open)
      throw new Usage(`${path}:${n + 1} does not close the mark before it. Nothing was changed.`)
    if (brace === '{') open = { name, isGone }
    const isKept = !open?.isGone && !isGone
    // One of the empty lines around a removed block stays.
    if (isKept && !(wentBefore && line === '' && kept.at(-1) === '')) kept.push(line)
    wentBefore = !isKept
    if (brace === '}') open = undefined
  }
  if (open) throw new Usage(`${path}: the mark of ${open.name} is not closed. Nothing was changed.`)
  return kept.join('\n')
}

/** The files that a file imports, or names in quotes: from itself (`./a.ts`), or from the top folder (`src/a.ts`). */
const namedIn = (path: string, text: string): string[] =>
  [...text.matchAll(/['`](\.{1,2}\/|src\/|test\/)([\w./-]*)['`]/g)].map(([, start = '', rest = '']) =>
    posix.join(start.startsWith('.') ? dirname(path) : '', start, rest).replace(/\/$/, ''),
  )

/** The texts of many files, which git gives one after the other. */
function textsAt(commit: string, paths: readonly string[]): [string, string][] {
  if (paths.length === 0) return []
  const names = paths.map(path => `${commit}:${path}\n`).join('')
  const out = Buffer.from(git(['cat-file', '--batch'], names))
  let at = 0
  return paths.map(path => {
    const end = out.indexOf('\n', at)
    const size = Number(out.toString('utf8', at, end).split(' ')[2])
    at = end + 1 + size + 1
    return [path, out.toString('utf8', end + 1, end + 1 + size)]
  })
}
