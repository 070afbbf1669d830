import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { partsAt, TEMPLATE } from '../../../src/cli/template/parts.ts'
import { launch } from '../../helpers/stage.ts'
import { BUILT, EDITED } from './builder.ts'
import {
  build,
  CHANGED,
  cloneBefore,
  makeTemplate,
  ONLY_BEFORE,
  ONLY_NOW,
  type Repository,
  ROOT,
} from './clones.ts'
import { age, createStores, runProject, type Stores } from './running.ts'

const REMOVALS = Object.keys(partsAt('HEAD')).filter(name => name !== TEMPLATE)
const UPDATES = ['history', 'copy'] as const
const HELP = `Usage: npm run template-test -- [--part PART]… [--all] [--tests none|near|all]

Shows that this template can be kept. A project is made of the release before (made up: its inbox, an example, the README
and a dependency were others), with what a builder writes: handlers, a table, a route, a job, a setting, a sender, a README,
tests, an edited Dockerfile. Then it is brought to this release, with the template's history and as a copy without it, and a
part is removed. After each step: no conflict, a clean git status, types, lint, tests, the old database on both stores,
a webhook of Revento's and one of the builder's sender handled.

  --part PART   ${[...UPDATES, ...REMOVALS].join(', ')}; several may be given
  --all         all of them; otherwise both updates, and one removal that the commit chooses
  --tests       near: the builder's and those of what a builder writes (unless told); all: the whole suite; none
`

/** The tests that a builder would run first. */
const NEAR = ['test/integration', 'test/builder', 'test/config', 'test/webhooks/receive.test.ts']

/** Those of `npm test`. */
const PROJECTS = ['--project', 'sqlite', '--project', 'postgres']

const options = {
  part: { type: 'string', multiple: true },
  all: { type: 'boolean' },
  tests: { type: 'string', default: 'near' },
  help: { type: 'boolean', short: 'h' },
} as const
const { values } = parseArgs({ options })
if (values.help) {
  console.log(HELP)
  process.exit(0)
}
const steps = chosen()
const folder = mkdtempSync(join(tmpdir(), 'template-test-'))
const say = (text: string) => console.error(text)
const rows: string[] = []
const stores = await createStores()
try {
  const template = makeTemplate(join(folder, 'template'))
  for (const how of UPDATES) if (steps.includes(how)) await update(template, how)
  const removals = REMOVALS.filter(name => steps.includes(name))
  if (removals.length > 0) await removeEach(template, removals)
  console.log('| step | commands | conflicts | seconds | lines of src |\n|---|---|---|---|---|')
  console.log(rows.join('\n'))
} finally {
  await stores.close()
  rmSync(folder, { recursive: true, force: true })
}

function chosen(): readonly string[] {
  const known: readonly string[] = [...UPDATES, ...REMOVALS]
  const strange = values.part?.find(part => !known.includes(part))
  if (strange !== undefined || !['none', 'near', 'all'].includes(values.tests)) {
    console.error(
      `${strange ?? `--tests ${values.tests}`} is not known. Try: npm run template-test -- --help`,
    )
    process.exit(1)
  }
  if (values.all) return known
  // A clone that has only its last commit has a hash, too.
  const hash = execFileSync('git', ['rev-parse', '--short=8', 'HEAD'], { cwd: ROOT, encoding: 'utf8' })
  const turn = REMOVALS[Number.parseInt(hash, 16) % REMOVALS.length] ?? ''
  return values.part ?? [...UPDATES, turn]
}

/** A project made of the release before, whose databases are older still, takes this release. */
async function update(template: Repository, how: (typeof UPDATES)[number]): Promise<void> {
  const name = `update, ${how === 'history' ? 'with history' : 'as a copy'}`
  say(name)
  const mine = cloneBefore(template, join(folder, how), how)
  build(mine)
  const databases = await stores.open(mine.folder)
  for (const url of Object.values(databases)) {
    await runProject(mine.folder, url, 'ptp_before')
    await age(mine.folder, url)
  }
  await step(name, mine, databases, () => {
    mine.type(`git fetch -q --tags ${template.folder} main`)
    mine.type('npm run -s update -- FETCH_HEAD')
  })
  expectSame('the inbox', mine.read(CHANGED), template.read(CHANGED))
  expectSame(
    'a file that went, and one that came',
    [mine.has(ONLY_BEFORE), mine.has(ONLY_NOW)],
    [false, true],
  )
  expectSame('the label', mine.read(EDITED.path).includes(EDITED.to), true)
  for (const [path, text] of Object.entries(BUILT)) expectSame(path, mine.read(path), text)
  const { name: called, dependencies, scripts } = JSON.parse(mine.read('package.json'))
  const theirs = JSON.parse(template.read('package.json'))
  expectSame('the name', [called, scripts.badges !== undefined], ['badges', true])
  expectSame('the dependencies', dependencies, theirs.dependencies)
}

/** A project of this release loses one part after the other, each from the same commit; then two of them together. */
async function removeEach(template: Repository, names: readonly string[]): Promise<void> {
  const mine = cloneBefore(template, join(folder, 'mine'), 'history')
  build(mine)
  mine.git('fetch', '-q', template.folder, 'main')
  mine.type('npm run -s update -- FETCH_HEAD')
  for (const name of names) {
    say(`remove ${name}`)
    mine.git('checkout', '-q', '-B', name, 'main')
    await step(`remove ${name}`, mine, await stores.open(mine.folder), () => {
      mine.type(`npm run -s remove -- ${name}`)
      mine.type(`git add -A && git commit -qm "Remove ${name}"`)
    })
  }
}

/** One step, timed as somebody would have waited for it, and everything that must hold after it. */
async function step(name: string, mine: Repository, databases: Stores, work: () => void): Promise<void> {
  const typed = mine.typed.length
  const began = performance.now()
  work()
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  expectSame('git status', mine.git('status', '--porcelain'), '')
  for (const [store, url] of Object.entries(databases)) {
    const holders = await runProject(mine.folder, url, 'ptp_after')
    const before = name.startsWith('update') ? ['ptp_before'] : []
    expectSame(`who has a badge on ${store}`, holders, ['github', 'ptp_after', ...before])
  }
  await expectPasses(mine, 'tsc', ['--noEmit', '--skipLibCheck'])
  await expectPasses(mine, 'biome', ['check'])
  if (values.tests !== 'none')
    await expectPasses(mine, 'vitest', ['run', ...PROJECTS, ...(values.tests === 'near' ? NEAR : [])])
  const commands = mine.typed.slice(typed).map(line => `\`${line}\``)
  rows.push(`| ${name} | ${commands.join(' · ')} | 0 | ${seconds} | ${linesOf(mine)} |`)
}

async function expectPasses(mine: Repository, tool: string, args: readonly string[]): Promise<void> {
  say(`  ${tool} ${args.join(' ')}`)
  const file = { tsc: 'typescript/bin/tsc', biome: '@biomejs/biome/bin/biome', vitest: 'vitest/vitest.mjs' }[
    tool
  ]
  const child = launch([join(mine.folder, 'node_modules', file ?? ''), ...args], {
    cwd: mine.folder,
    env: { ...mine.env, NO_COLOR: '1' },
  })
  if ((await child.ended) !== 0)
    throw new Error(`${tool} fails:\n${`${child.output.out}${child.output.err}`.slice(-6000)}`)
}

function expectSame(what: string, found: unknown, wanted: unknown): void {
  const [a, b] = [found, wanted].map(value => JSON.stringify(value))
  if (a !== b) throw new Error(`${what}: ${a?.slice(0, 2000)}, and not ${b?.slice(0, 2000)}`)
}

function linesOf(mine: Repository): number {
  const paths = mine.git('ls-files', 'src').split('\n')
  return paths.reduce((sum, path) => sum + mine.read(path).split('\n').length - 1, 0)
}
