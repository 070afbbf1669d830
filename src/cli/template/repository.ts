import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { environmentOfOthers } from '../../config/settings.ts'
import { Usage } from '../command.ts'

/** The version of the template that a clone came from; `template` in package.json. */
export interface Stamp {
  readonly version: string
  /** A commit of the template's own history; absent where `mine` found none. */
  readonly commit?: string
  /** The parts that `remove` took out, which no update brings back. */
  readonly without?: readonly string[]
}

export interface Manifest extends Record<string, unknown> {
  readonly name: string
  readonly version: string
  readonly scripts?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly template?: Stamp
}

/** Runs git in the working tree and gives what it prints, without the last line's end. */
export function git(
  args: readonly string[],
  input?: string | Buffer,
  env: Readonly<Record<string, string>> = {},
): string {
  return execFileSync('git', args, {
    input: input ?? '',
    env: { ...environmentOfOthers(), ...env },
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['pipe', 'pipe', 'pipe'],
  }).replace(/\n$/, '')
}

/** Runs git; undefined where git refuses. */
export function tryGit(...args: string[]): string | undefined {
  try {
    return git(args)
  } catch {
    return undefined
  }
}

/** What git keeps of work that is not at its end, and what takes it back. */
const HALF_DONE = [
  ['MERGE_HEAD', 'git merge --abort'],
  ['rebase-merge', 'git rebase --abort'],
  ['CHERRY_PICK_HEAD', 'git cherry-pick --abort'],
] as const

/** A command that changes files changes them in a clean working tree only, so that git can undo all of it. */
export function refuseUnclean(again: string): void {
  if (!existsSync('package.json') || tryGit('rev-parse', '--show-prefix') !== '')
    throw new Usage('Run this in the top folder of the project, which must be a git repository: git init')
  const paths = git(['rev-parse', ...HALF_DONE.flatMap(([file]) => ['--git-path', file])]).split('\n')
  const begun = HALF_DONE.find((_, n) => existsSync(paths[n] ?? ''))
  if (begun)
    throw new Usage(
      `A ${begun[0].split(/[_-]/, 1)[0]?.toLowerCase()} is half done. Finish it, or type: ${begun[1]}`,
    )
  const changed = git(['status', '--porcelain'])
  if (changed !== '')
    throw new Usage(`These files are not committed:\n${changed}\nCommit or stash them, then type: ${again}`)
}

export const manifestAt = (commit: string) => JSON.parse(git(['show', `${commit}:package.json`])) as Manifest

export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** The lock file with this name and version, which npm keeps there, too. */
export function lockFor(lock: string, { name, version }: Pick<Manifest, 'name' | 'version'>): string {
  const parsed = JSON.parse(lock) as { packages?: Record<string, object> }
  const packages = { ...parsed.packages, '': { ...parsed.packages?.[''], name, version } }
  return json({ ...parsed, name, version, packages })
}

/** Writes these texts into the working tree, and removes what has none, with the folders that are empty then. */
export function apply(changes: Changes): void {
  for (const [path, text] of changes)
    if (text !== null) writeFileSync(path, text)
    else {
      rmSync(path, { force: true })
      removeEmpty(dirname(path))
    }
}

function removeEmpty(folder: string): void {
  if (folder === '.' || readdirSync(folder).length > 0) return
  rmdirSync(folder)
  removeEmpty(dirname(folder))
}

export const commitTree = (tree: string, parents: readonly string[], message: string): string =>
  git(['commit-tree', tree, ...parents.flatMap(parent => ['-p', parent]), '-m', message])

/** The new texts of files by their paths; null removes a file. */
export type Changes = ReadonlyMap<string, string | null>

/** A separate index of git's, so that the real one and the working tree stay as they are. */
interface Index {
  paths(): string[]
  write(changes: Changes): void
  /** Takes these paths as they are in another commit. */
  take(commit: string, paths: readonly string[]): void
}

const NOTHING = `0 ${'0'.repeat(40)}`

/** The tree that comes out when `work` has changed that of `start`. */
export function withIndex(start: string, work: (index: Index) => void): string {
  const file = git(['rev-parse', '--git-path', 'update.index'])
  const run = (args: string[], input = '') => git(args, input, { GIT_INDEX_FILE: file })
  const modes = () =>
    new Map(
      run(['ls-files', '-s', '-z'])
        .split('\0')
        .filter(Boolean)
        .map(line => [line.slice(line.indexOf('\t') + 1), line.slice(0, 6)]),
    )
  const blob = (text: string) => git(['hash-object', '-w', '--stdin'], text)
  run(['read-tree', start])
  work({
    paths: () => [...modes().keys()],
    write(changes) {
      const known = modes()
      const lines = [...changes].map(([path, text]) =>
        text === null ? `${NOTHING}\t${path}` : `${known.get(path) ?? '100644'} ${blob(text)}\t${path}`,
      )
      run(['update-index', '-z', '--index-info'], [...lines, ''].join('\0'))
    },
    take: (commit, paths) =>
      run(['update-index', '-z', '--index-info'], git(['ls-tree', '-r', '-z', commit, '--', ...paths])),
  })
  const tree = run(['write-tree'])
  rmSync(file, { force: true })
  return tree
}

/** Leaves a merge as git does where it stops: every side of a conflict in the index, and both in the file. */
export function leaveUnderWay(
  tree: string,
  theirs: string,
  message: string,
  unmerged: readonly string[],
): void {
  git(['read-tree', '-m', '-u', 'HEAD', tree])
  const removed = pathsOf(unmerged).map(path => `${NOTHING}\t${path}`)
  git(['update-index', '-z', '--index-info'], [...removed, ...unmerged, ''].join('\0'))
  const note = (file: string, text: string) =>
    writeFileSync(git(['rev-parse', '--git-path', file]), `${text}\n`)
  note('MERGE_HEAD', theirs)
  note('MERGE_MSG', message)
}

/** The paths of lines as `git ls-files --stage` prints them, each once. */
export const pathsOf = (lines: readonly string[]): string[] => [
  ...new Set(lines.map(line => line.slice(line.indexOf('\t') + 1))),
]
