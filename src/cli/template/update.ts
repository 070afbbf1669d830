import { rmSync } from 'node:fs'
import { print, runCommand, Usage } from '../command.ts'
import { mergeManifests } from './manifests.ts'
import { git, json, lockFor, type Manifest, refuseUnclean, type Stamp, tryGit } from './repository.ts'

const HELP = `Usage: npm run update -- REF [--from COMMIT]

Takes a newer version of the template into a project that "npm run mine" made yours. Get it first:

  git fetch --tags https://…/revento-starter main
  npm run update -- FETCH_HEAD

It merges and commits, or changes nothing and names the files that both sides changed. README.md, src/integration,
test/integration and the name stay yours, and test/template stays away. Dependencies of both sides are kept. A copy without the template's
history is merged from the commit that package.json remembers, or from --from.
`

/** Paths that the template never changes in a clone. Every other path is merged. */
const YOURS = ['README.md', 'LICENSE', 'src/integration', 'test/integration', 'test/template']
const PACKAGE_FILES = ['package.json', 'package-lock.json']

function main({ from }: { from?: string | undefined }, [ref, ...more]: string[]): number {
  if (ref === undefined || more.length > 0) throw new Usage('update takes one REF, as FETCH_HEAD or a tag.')
  refuseUnclean(`npm run update -- ${ref}`)
  const theirs = commitOf(ref)
  const ours = manifestAt('HEAD')
  const { template } = ours
  if (!template) throw new Usage('package.json has no "template": type npm run mine -- NAME first.')
  if (tryGit('merge-base', '--is-ancestor', theirs, 'HEAD') !== undefined) {
    print(`Nothing to do: ${ref} is in this project already.`)
    return 0
  }
  const { base, side } = sides(theirs, template, from)
  const { tree, conflicts } = merged(side, theirs)
  if (conflicts.length > 0)
    throw new Usage(
      `Both sides changed:\n${conflicts.map(path => `  ${path}`).join('\n')}\nNothing was changed here. To settle it by hand: git merge ${
        side === 'HEAD' ? '' : '--allow-unrelated-histories '
      }${ref}`,
    )
  const manifest = mergeManifests({ base: manifestAt(base), ours, theirs: manifestAt(theirs) })
  const version = String(manifestAt(theirs).version)
  const stamped = { ...manifest, template: { version, commit: theirs } }
  const commit = commitTree(
    withYours(tree, theirs, stamped),
    theirs,
    `Take version ${version} of the template`,
  )
  git(['merge', '--ff-only', '--quiet', commit])
  print(
    `${template.version} → ${version}. CHANGELOG.md says what to do; entries marked security are the urgent ones.`,
  )
  print('Then type: npm install && npm run check')
  return 0
}

const commitOf = (ref: string): string => {
  const commit = tryGit('rev-parse', '--verify', '--quiet', `${ref}^{commit}`)
  if (!commit) throw new Usage(`There is no ${ref} here. Fetch the template first: npm run update -- --help`)
  return commit
}

const manifestAt = (commit: string) => JSON.parse(git(['show', `${commit}:package.json`])) as Manifest

/** The commit from which both sides grew, and our side as one that git can merge: a copy gets a parent of the template's. */
function sides(
  theirs: string,
  { version, commit }: Stamp,
  from: string | undefined,
): { base: string; side: string } {
  const shared = tryGit('merge-base', 'HEAD', theirs)
  if (shared) return { base: shared, side: 'HEAD' }
  const base = [from, commit, `v${version}`].find(
    known => known !== undefined && tryGit('merge-base', '--is-ancestor', known, theirs) !== undefined,
  )
  if (from !== undefined && base !== from) throw new Usage(`${from} is no commit of what was fetched.`)
  if (base === undefined)
    throw new Usage(
      `What package.json remembers of the template (${commit ?? version}) is not in the history of what was fetched. ` +
        'Say which of its commits this project was made of: --from COMMIT',
    )
  return {
    base,
    side: git(['commit-tree', 'HEAD^{tree}', '-p', base, '-m', 'This project, as grown from the template']),
  }
}

/** The merged tree, and the paths that neither git nor the rules of this file can merge. */
function merged(side: string, theirs: string): { tree: string; conflicts: string[] } {
  const out = mergeTree(side, theirs)
  const [tree = '', ...rest] = out.split('\0')
  const paths = rest.slice(0, rest.indexOf(''))
  const isSettled = (path: string) => PACKAGE_FILES.includes(path) || isYours(path)
  return { tree, conflicts: [...new Set(paths)].filter(path => !isSettled(path)) }
}

const isYours = (path: string) => YOURS.some(own => path === own || path.startsWith(`${own}/`))

/** git exits with 1 where there are conflicts; its output is needed then, too. */
function mergeTree(side: string, theirs: string): string {
  try {
    return git(['merge-tree', '--write-tree', '--name-only', '--no-messages', '-z', side, theirs])
  } catch (error) {
    const { status, stdout } = error as { status?: number; stdout?: string }
    if (status === 1 && stdout) return stdout
    throw new Usage('git cannot merge here: version 2.38 or newer is needed.')
  }
}

/** The merged tree with our own files as they are in HEAD, and both package files. */
function withYours(tree: string, theirs: string, manifest: Manifest): string {
  const file = git(['rev-parse', '--git-path', 'update.index'])
  const index = { GIT_INDEX_FILE: file }
  git(['read-tree', tree], '', index)
  const merged = git(['ls-files', '-z'], '', index).split('\0').filter(isYours)
  git(['update-index', '--force-remove', '-z', '--stdin'], merged.join('\0'), index)
  git(['update-index', '-z', '--index-info'], git(['ls-tree', '-r', '-z', 'HEAD', '--', ...YOURS]), index)
  const lock = tryGit('show', `${theirs}:package-lock.json`)
  const files = {
    'package.json': json(manifest),
    ...(lock && { 'package-lock.json': lockFor(lock, manifest) }),
  }
  for (const [path, text] of Object.entries(files)) {
    const blob = git(['hash-object', '-w', '--stdin'], text)
    git(['update-index', '--add', '--cacheinfo', `100644,${blob},${path}`], '', index)
  }
  const result = git(['write-tree'], '', index)
  rmSync(file, { force: true })
  return result
}

const commitTree = (tree: string, theirs: string, message: string) =>
  git(['commit-tree', tree, '-p', 'HEAD', '-p', theirs, '-m', message])

await runCommand({
  name: 'update',
  help: HELP,
  options: { from: { type: 'string' } },
  takesWords: true,
  main,
})
