import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { environmentOfOthers } from '../../config/settings.ts'
import { Usage } from '../command.ts'

/** The version of the template that a clone came from; `template` in package.json. */
export interface Stamp {
  readonly version: string
  /** A commit of the template's own history; absent where `mine` found none. */
  readonly commit?: string
}

export interface Manifest extends Record<string, unknown> {
  readonly name: string
  readonly version: string
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

/** A command that changes files changes them in a clean working tree only, so that git can undo all of it. */
export function refuseUnclean(again: string): void {
  if (!existsSync('package.json') || tryGit('rev-parse', '--show-prefix') !== '')
    throw new Usage('Run this in the top folder of the project, which must be a git repository: git init')
  for (const [file, undo] of [
    ['MERGE_HEAD', 'git merge --abort'],
    ['rebase-merge', 'git rebase --abort'],
    ['CHERRY_PICK_HEAD', 'git cherry-pick --abort'],
  ] as const)
    if (existsSync(git(['rev-parse', '--git-path', file])))
      throw new Usage(
        `A ${file.split(/[_-]/, 1)[0]?.toLowerCase()} is half done. Finish it, or type: ${undo}`,
      )
  const changed = git(['status', '--porcelain'])
  if (changed !== '')
    throw new Usage(`These files are not committed:\n${changed}\nCommit or stash them, then type: ${again}`)
}

export const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** The lock file with this name and version, which npm keeps there, too. */
export function lockFor(lock: string, { name, version }: Pick<Manifest, 'name' | 'version'>): string {
  const parsed = JSON.parse(lock) as { packages?: Record<string, object> }
  const packages = { ...parsed.packages, '': { ...parsed.packages?.[''], name, version } }
  return json({ ...parsed, name, version, packages })
}
