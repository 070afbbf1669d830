import { spawn } from 'node:child_process'
import { openSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { inherited } from '../helpers/stage.ts'
import { typed } from '../helpers/typed.ts'

const SRC = fileURLToPath(new URL('../../src/', import.meta.url))
const { scripts } = JSON.parse(readFileSync(`${SRC}../package.json`, 'utf8')) as {
  scripts: Record<string, string>
}
/** What `npm run` starts of src/cli. */
const COMMANDS = Object.values(scripts).flatMap(
  script => /^node src\/cli\/(\S+)\.ts$/.exec(script)?.[1] ?? [],
)
const cli = (name: string) => `${SRC}cli/${name}.ts`

test('every command runs through runCommand, and nothing else there writes to stdout', () => {
  const files = readdirSync(`${SRC}cli`, { recursive: true, encoding: 'utf8' }).filter(name =>
    name.endsWith('.ts'),
  )
  const texts = files.map(name => [name, readFileSync(`${SRC}cli/${name}`, 'utf8')] as const)
  const commands = texts.filter(([, text]) => /^await runCommand\(/m.test(text)).map(([name]) => name)
  expect(commands.toSorted()).toEqual(COMMANDS.map(name => `${name}.ts`).toSorted())
  // The probe is loaded into the app, whose log the drill reads.
  const writing = texts
    .filter(([, text]) => /console\.log|process\.stdout\.write/.test(text))
    .map(([name]) => name)
  expect(writing.filter(name => name !== 'develop/drill/probe.ts')).toEqual([])
})

/** One of them as a process whose output goes there, or to nobody. */
async function run(name: string, stdout: number | 'pipe'): Promise<[code: unknown, err: string]> {
  const child = spawn(process.execPath, [cli(name), '--help'], {
    cwd: testFolder(),
    env: inherited(),
    stdio: ['ignore', stdout, 'pipe'],
  })
  child.stdout?.destroy()
  let err = ''
  child.stderr?.on('data', chunk => (err += chunk))
  return [await new Promise(resolve => child.once('close', resolve)), err]
}

// Each of them runs through runCommand, as the test above says: one stands for all.
test('a command whose output goes into a full device is an error, and exit code 1', async () => {
  expect(await run('operate/deliveries', openSync('/dev/full', 'w'))).toEqual([
    1,
    expect.stringContaining('The output cannot be written (ENOSPC).'),
  ])
})

// part: tools {
test('a command ends quietly when nobody reads it any more', async () => {
  expect(await run('develop/trigger', 'pipe')).toEqual([0, ''])
})
// part: tools }

test.each([
  // part: tools {
  [
    'develop/trigger',
    ['revento', 'activity.updated'],
    'tamper',
    'npm run trigger -- revento activity.updated --tamper',
  ],
  // part: tools }
  // What npm kept, and what to type instead.
  ['operate/deliveries', ['list'], 'json', 'npm run deliveries -- list --json'],
  ['develop/go-live', [], 'json', 'npm run go-live -- --json'], // part: tools
] as const)('%s says so when npm kept its option: %j --%s', async (name, args, option, toType) => {
  const env = { npm_lifecycle_event: name.replace(/^.*\//, ''), [`npm_config_${option}`]: 'true' }
  const { code, out, err } = await typed(cli(name), args, { env })
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain(`npm kept --${option} for itself`)
  expect(err).toContain(toType)
})

test('npm start says so too', async () => {
  const env = { npm_lifecycle_event: 'start', npm_config_port: 'true' }
  const child = node([cli('../main')], { cwd: testFolder(), env })
  expect([await child.ended, child.output.out]).toEqual([1, ''])
  expect(child.output.err).toContain('npm kept --port for itself')
  expect(child.output.err).toContain('npm start -- --port')
})

// part: tools {
/** What npm itself does with an option before "--". */
test('npm run -s trigger revento activity.updated --tamper is refused, and sends nothing', async () => {
  const child = spawn('npm', ['run', '-s', 'trigger', 'revento', 'activity.updated', '--tamper'], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    env: { ...inherited(), HOME: testFolder(), PORT: '9' },
  })
  let err = ''
  child.stderr.on('data', chunk => (err += chunk))
  const code = await new Promise(resolve => child.once('close', resolve))
  expect([code, err]).toEqual([1, expect.stringContaining('npm kept --tamper for itself')])
})
// part: tools }
