import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { print, runCommand, Usage } from '../command.ts'
import { git, json, lockFor, type Manifest, refuseUnclean, tryGit } from './repository.ts'

const HELP = `Usage: npm run mine -- NAME

Makes a clone of the template yours, once: the package is called NAME, package.json remembers the version and commit of
the template for "npm run update", and test/template goes, which holds what only the template promises. It changes
nothing while files are not committed, and commits nothing itself.
`

/** A name that npm accepts, without a scope. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,100}$/
const TEMPLATE_TESTS = 'test/template'

function main(_values: object, [name = '', ...more]: string[]): number {
  if (!NAME.test(name) || more.length > 0)
    throw new Usage('mine takes one NAME of small letters, digits, dots, hyphens and underscores.')
  refuseUnclean(`npm run mine -- ${name}`)
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest
  if (manifest.template)
    throw new Usage(
      `It is yours already: ${manifest.name}, of ${manifest.template.version}. See npm run update.`,
    )
  const commit = tryGit('rev-parse', 'HEAD')
  if (commit === undefined)
    throw new Usage('There is no commit yet. Type: git add -A && git commit -m "Template"')
  writeFileSync('package.json', renamed(manifest, name, { version: manifest.version, commit }))
  rename('package-lock.json', name)
  rmSync(TEMPLATE_TESTS, { recursive: true, force: true })
  print(
    `Yours: ${name}, made of version ${manifest.version} (${commit.slice(0, 10)}). Changed, and not committed:`,
  )
  print(git(['status', '--short', '--', 'package.json', 'package-lock.json']))
  print(`  ${TEMPLATE_TESTS}/ removed

By hand: write your own README.md and LICENSE, set APP_NAME in .env for the pages, and change the labels of the Dockerfile.
Then type: npm run check && git add -A && git commit -m "Make it ours"`)
  return 0
}

const renamed = (manifest: Manifest, name: string, template: Manifest['template']) =>
  json({ ...manifest, name, template })

function rename(path: string, name: string): void {
  if (!existsSync(path)) return
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as Manifest
  writeFileSync(path, lockFor(readFileSync(path, 'utf8'), { name, version }))
}

await runCommand({ name: 'mine', help: HELP, options: {}, takesWords: true, main })
