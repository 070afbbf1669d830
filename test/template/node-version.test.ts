import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { node as nodeFinding } from '../../src/cli/develop/go-live/settings.ts'
import { nodeTooOld, readManifest } from '../../src/process/manifest.ts'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { logLines, startMain } from '../helpers/program.ts'

const manifest = readManifest()
const CHOOSE = fileURLToPath(new URL('../../src/cli/choose-node.js', import.meta.url))
const { scripts } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

test.each([
  ['26.10.0', '26.12.1', true],
  ['26.9.9', '26.12.1', true],
  ['26.12.1', '26.12.1', false],
  ['26.13.0', '26.12.1', false],
  ['28.0.0', '26.12.1', false],
])('of Node %s and the floor %s the first is too old: %s', (running, floor, isOld) => {
  const engines = { node: `>=${floor}` }
  expect(nodeTooOld(running, { engines }) !== undefined).toBe(isOld)
  expect(nodeFinding(running, { ...manifest, engines }).status).toBe(isOld ? 'failed' : 'ok')
})

const pretend = (version: string) => {
  const source = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } })`
  return { NODE_OPTIONS: `--import "data:text/javascript,${encodeURIComponent(source)}"` }
}

test('a start on a Node that is older than the floor says so, says why, and goes on', async () => {
  const app = await startMain({ env: pretend('26.10.0') })
  await app.says('"Ready: ')
  const lines = logLines(app)
  expect(lines.filter(({ part }) => part === 'node')).toMatchObject([
    { level: 'warn', msg: expect.stringMatching(/^Node 26\.10\.0 is older .*CVE-\d+.* Install Node/) },
  ])
  expect(lines.find(({ url }) => url)).toMatchObject({ node: '26.10.0' })
})

/** What `node` is for npm's scripts, after an install where this machine's own Node has that version. */
async function chosen(onMachine: string): Promise<string> {
  const folder = testFolder()
  const [linked, machine] = [join(folder, 'node_modules/.bin'), join(folder, 'bin')]
  for (const path of [linked, machine]) mkdirSync(path, { recursive: true })
  symlinkSync(process.execPath, join(linked, 'node'))
  writeFileSync(join(machine, 'node'), `#!/bin/sh\necho ${onMachine}\n`, { mode: 0o755 })
  const env = { PATH: `${linked}:${machine}` }
  expect(await node([CHOOSE], { cwd: folder, env }).ended).toBe(0)
  return execFileSync('node', ['-p', 'process.versions.node'], { env, encoding: 'utf8' }).trim()
}

test.each([
  ['26.999.0', '26.999.0'],
  ['26.1.0', process.versions.node],
  ['20.20.2', process.versions.node],
  ['29.0.0', process.versions.node],
  ['what', process.versions.node],
])('with Node %s on this machine npm start runs %s', async (onMachine, runs) => {
  expect(scripts.postinstall).toMatch(/ && node src\/cli\/choose-node\.js$/)
  expect(await chosen(onMachine)).toBe(runs)
})
