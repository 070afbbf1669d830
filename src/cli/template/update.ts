import { print, runCommand, Usage } from '../command.ts'
import { mergeManifests } from './manifests.ts'
import { isWithin, lacking, TEMPLATE, without, YOURS } from './parts.ts'
import {
  commitTree,
  git,
  json,
  leaveUnderWay,
  lockFor,
  type Manifest,
  manifestAt,
  pathsOf,
  refuseUnclean,
  type Stamp,
  tryGit,
  withIndex,
} from './repository.ts'

const HELP = `Usage: npm run update -- REF [--from COMMIT] [--by-hand]

Takes a newer version of the template into a project that "npm run mine" made yours. Get it first:

  git fetch --tags https://…/revento-starter main
  npm run update -- FETCH_HEAD

It merges and commits, or changes nothing and names the files that both sides changed. README.md, src/integration,
test/integration and the name stay yours, and what "npm run remove" took out stays away. Dependencies of both sides are
kept. A copy without the template's history is merged from the commit of the template that has the files with which the copy
began, or from --from.

  --by-hand  leaves the merge under way where both sides changed the same lines: settle it, then git commit
`

const PACKAGE_FILES = ['package.json', 'package-lock.json']

interface Flags {
  readonly from?: string | undefined
  readonly 'by-hand'?: boolean | undefined
}

function main({ from, 'by-hand': byHand }: Flags, [ref, ...more]: string[]): number {
  if (ref === undefined || more.length > 0) throw new Usage('update takes one REF, as FETCH_HEAD or a tag.')
  const again = `npm run update -- ${ref}`
  refuseUnclean(again)
  const theirs = commitOf(ref)
  const ours = manifestAt('HEAD')
  const { template } = ours
  if (!template) throw new Usage('package.json has no "template": type npm run mine -- NAME first.')
  if (tryGit('merge-base', '--is-ancestor', theirs, 'HEAD') !== undefined) {
    print(`Nothing to do: ${ref} is in this project already.`)
    return 0
  }
  const base = baseOf(theirs, template, from)
  const parts = [TEMPLATE, ...(template.without ?? [])]
  const { tree, unmerged, manifest } = mergeSides(base, theirs, parts)
  const conflicts = pathsOf(unmerged)
  if (conflicts.length > 0 && !byHand)
    throw new Usage(
      `Both sides changed:\n${listOf(conflicts)}\nNothing was changed here. To settle it by hand: ${again} --by-hand`,
    )
  const { version } = manifestAt(theirs)
  const stamped = { ...manifest, template: { ...template, version, commit: theirs } }
  const added = lacking(tree, theirs, 'HEAD')
  const whole = withYours(tree, theirs, stamped, added)
  const message = `Take version ${version} of the template`
  if (conflicts.length > 0) {
    leaveUnderWay(whole, theirs, message, unmerged)
    print(`Both sides changed:\n${listOf(conflicts)}
Settle what stands between <<<<<<< and >>>>>>>, then type: npm run check && git commit -a
To drop this update: git merge --abort`)
    return 1
  }
  git(['merge', '--ff-only', '--quiet', commitTree(whole, ['HEAD', theirs], message)])
  const [before, after] = [template.commit ?? base, theirs].map(commit => commit.slice(0, 10))
  print(
    `${template.version} (${before}) → ${version} (${after}). CHANGELOG.md says what to do; entries marked security are the urgent ones.`,
  )
  if (added.length > 0) print(`New in your folder, which the app now reads:\n${listOf(added)}`)
  print('Then type: npm install && npm run check')
  return 0
}

const listOf = (paths: readonly string[]) => paths.map(path => `  ${path}`).join('\n')

const commitOf = (ref: string): string => {
  const commit = tryGit('rev-parse', '--verify', '--quiet', `${ref}^{commit}`)
  if (!commit) throw new Usage(`There is no ${ref} here. Fetch the template first: npm run update -- --help`)
  return commit
}

/** The commit from which both sides grew. */
function baseOf(theirs: string, { version, commit }: Stamp, from: string | undefined): string {
  const shared = tryGit('merge-base', 'HEAD', theirs)
  if (shared) return shared
  const isTheirs = (known: string | undefined) =>
    known !== undefined && tryGit('merge-base', '--is-ancestor', known, theirs) !== undefined
  const base = [from, commit].find(isTheirs) ?? sameTree(theirs, commit) ?? [`v${version}`].find(isTheirs)
  if (from !== undefined && base !== from) throw new Usage(`${from} is no commit of what was fetched.`)
  if (base === undefined)
    throw new Usage(
      `What package.json remembers of the template (${commit ?? version}) is not in the history of what was fetched. ` +
        'Say which of its commits this project was made of: --from COMMIT',
    )
  return base
}

/** Finds the template's commit with the same files as this one, for a copy that was committed as it came. */
function sameTree(theirs: string, commit: string | undefined): string | undefined {
  const tree = commit && tryGit('rev-parse', '--verify', '--quiet', `${commit}^{tree}`)
  const all = git(['log', '--format=%T %H', theirs]).split('\n')
  return tree && all.find(line => line.startsWith(tree))?.slice(tree.length + 1)
}

/** One merge of what belongs to the template: each side without the builder's own files and without removed parts. */
function mergeSides(base: string, theirs: string, parts: readonly string[]) {
  const [before, ours, after] = [side(base, parts), side('HEAD', []), side(theirs, parts)]
  const root = commitTree(before.tree, [], 'The template before')
  const [one, other] = [ours, after].map(({ tree }) => commitTree(tree, [root], 'A side'))
  const [tree = '', ...unmerged] = mergeTree(one ?? '', other ?? '').split('\0')
  return {
    tree,
    /** As `git update-index` reads them: mode, blob, stage and path. */
    unmerged: unmerged.filter(Boolean),
    manifest: mergeManifests({ base: before.manifest, ours: ours.manifest, theirs: after.manifest }),
  }
}

function side(commit: string, parts: readonly string[]): { tree: string; manifest: Manifest } {
  const { changes, manifest } = without(commit, parts)
  const tree = withIndex(commit, index => {
    const others = index.paths().filter(path => isWithin(path, [...YOURS, ...PACKAGE_FILES]))
    index.write(new Map([...changes, ...others.map(path => [path, null] as const)]))
  })
  return { tree, manifest }
}

/** git exits with 1 where there are conflicts; its output is needed then, too. */
function mergeTree(one: string, other: string): string {
  try {
    return git(['merge-tree', '--write-tree', '--no-messages', '-z', one, other])
  } catch (error) {
    const { status, stdout } = error as { status?: number; stdout?: string }
    if (status === 1 && stdout) return stdout
    throw new Usage('git cannot merge here: version 2.38 or newer is needed.')
  }
}

/** The merged tree with our own files as they are in HEAD, and both package files. */
const withYours = (tree: string, theirs: string, manifest: Manifest, added: readonly string[]): string =>
  withIndex(tree, index => {
    index.take('HEAD', YOURS)
    if (added.length > 0) index.take(theirs, added)
    const lock = tryGit('show', `${theirs}:package-lock.json`)
    index.write(
      new Map([
        ['package.json', json(manifest)],
        ...(lock ? [['package-lock.json', lockFor(lock, manifest)] as const] : []),
      ]),
    )
  })

await runCommand({
  name: 'update',
  help: HELP,
  options: { from: { type: 'string' }, 'by-hand': { type: 'boolean' } },
  takesWords: true,
  main,
})
