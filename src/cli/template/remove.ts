import { readFileSync } from 'node:fs'
import { print, runCommand, Usage } from '../command.ts'
import { partsAt, TEMPLATE, without } from './parts.ts'
import { apply, git, json, type Manifest, manifestAt, refuseUnclean } from './repository.ts'

const HELP = `Usage: npm run remove -- PART…

Takes parts that you do not use out of a project that "npm run mine" made yours: folders, tests, commands, and the marked
lines of other files. package.json remembers them, and no update brings them back. It changes nothing while files are not
committed, and commits nothing itself; what is gone stays in git.

`

const parts = Object.entries(partsAt('HEAD')).filter(([name]) => name !== TEMPLATE)
const LIST = parts.map(([name, { holds }]) => `  ${name.padEnd(8)}  ${holds}\n`).join('')

function main(_values: object, asked: string[]): number {
  const known = parts.map(([name]) => name)
  const strange = asked.find(name => !known.includes(name))
  if (asked.length === 0 || strange !== undefined)
    throw new Usage(`${strange ? `${strange} is no part` : 'remove takes a PART'}: ${known.join(', ')}.`)
  refuseUnclean(`npm run remove -- ${asked.join(' ')}`)
  const manifest = manifestAt('HEAD')
  const { template } = manifest
  if (!template) throw new Usage('package.json has no "template": type npm run mine -- NAME first.')
  const removed = template.without ?? []
  const names = asked.filter(name => !removed.includes(name))
  if (names.length === 0) {
    print(`Nothing to do: ${asked.join(', ')} went before.`)
    return 0
  }
  const { changes, manifest: left, users } = without('HEAD', names)
  if (users.length > 0)
    throw new Usage(
      `These files of yours use ${names.join(', ')}:\n${users.map(path => `  ${path}`).join('\n')}\nNothing was changed. Change and commit them, then type: npm run remove -- ${asked.join(' ')}`,
    )
  const before = linesOfSource()
  const stamp = { ...template, without: [...removed, ...names].toSorted() }
  apply(new Map([...changes, ['package.json', json({ ...left, template: stamp })]]))
  print(`Without ${names.join(', ')}: src had ${before} lines and has ${linesOfSource()}. Not committed yet.`)
  const packages = (of: Manifest) => Object.keys(of.devDependencies ?? {}).length
  const install = packages(left) < packages(manifest) ? 'npm install && ' : ''
  print(`Then type: ${install}npm run check && git add -A && git commit -m "Remove ${names.join(', ')}"`)
  return 0
}

/** The lines of code in src, of files that are there. */
const linesOfSource = (): number =>
  git(['ls-files', '--cached', '--others', '--exclude-standard', '--deduplicate', 'src'])
    .split('\n')
    .reduce((sum, path) => sum + linesOf(path), 0)

function linesOf(path: string): number {
  try {
    return readFileSync(path, 'utf8').split('\n').length - 1
  } catch {
    return 0
  }
}

await runCommand({ name: 'remove', help: HELP + LIST, options: {}, takesWords: true, main })
