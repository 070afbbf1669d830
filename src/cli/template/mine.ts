import { print, runCommand, Usage } from '../command.ts'
import { TEMPLATE, without } from './parts.ts'
import { apply, git, json, lockFor, type Manifest, manifestAt, refuseUnclean, tryGit } from './repository.ts'

const HELP = `Usage: npm run mine -- NAME

Makes a clone of the template yours, once: the package is called NAME, package.json remembers the version and commit of
the template for "npm run update", and what only the template promises goes, test/template for one. It changes nothing
while files are not committed, and commits nothing itself.
`

/** A name that npm accepts, without a scope. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,100}$/

function main(_values: object, [name = '', ...more]: string[]): number {
  if (!NAME.test(name) || more.length > 0)
    throw new Usage('mine takes one NAME of small letters, digits, dots, hyphens and underscores.')
  refuseUnclean(`npm run mine -- ${name}`)
  const commit = tryGit('rev-parse', 'HEAD')
  if (commit === undefined)
    throw new Usage('There is no commit yet. Type: git add -A && git commit -m "Template"')
  const manifest = manifestAt('HEAD')
  const { version, template } = manifest
  if (template)
    throw new Usage(`It is yours already: ${manifest.name}, of ${template.version}. See npm run update.`)
  const { changes, manifest: left } = without('HEAD', [TEMPLATE])
  const lock = tryGit('show', 'HEAD:package-lock.json')
  apply(
    new Map([
      ...changes,
      ['package.json', json({ ...left, name, template: { version, commit } } satisfies Manifest)],
      ...(lock ? [['package-lock.json', lockFor(lock, { name, version })] as const] : []),
    ]),
  )
  print(`Yours: ${name}, made of version ${version} (${commit.slice(0, 10)}). Changed, and not committed:`)
  print(git(['diff', '--stat=100', '--stat-count=20']))
  print(`
By hand: write your own README.md and LICENSE, set APP_NAME in .env for the pages, and change the labels of the Dockerfile.
Then type: npm run check && git add -A && git commit -m "Make it ours"`)
  return 0
}

await runCommand({ name: 'mine', help: HELP, options: {}, takesWords: true, main })
