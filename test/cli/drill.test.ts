import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { DAYS } from '../../src/cli/develop/drill/days.ts'
import { findFault } from '../../src/sandbox/faults/fault-table.ts'
import { node } from '../helpers/child.ts'
import { drill } from '../helpers/drill.ts'
import { testFolder } from '../helpers/folder.ts'
import { copyProject } from '../helpers/project.ts'
import { typed } from '../helpers/typed.ts'
import { until } from '../helpers/wait.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Other mistakes, of handlers and of this code: test/lab/drill.test.ts. */
test('a handler that throws on a documented payload is caught, and its file is named', async () => {
  const project = copyProject()
  project.replace(
    'src/integration/handlers/application-approved.ts',
    '  const { event, log } = context\n',
    `  const { event, log } = context
  log.info({ track: (event.data.custom_form_fields as { favorite_track: string }).favorite_track.toUpperCase() }, '')
`,
  )
  const told = await drill(project, ['handler_payloads'])
  expect(told).toMatchObject({ code: 1, failed: 1 })
  expect(told.days[0]).toMatchObject({
    status: 'failed',
    look: 'src/integration/handlers/application-approved.ts',
  })
  expect(told.days[0]?.reason).toMatch(/application-approved\.ts \(application\.approved\) threw TypeError/)
}, 120_000)

test('a day that this system cannot make is said to be not run, and counts as neither', async () => {
  const told = await drill({ folder: ROOT, env: {} }, ['disk_full'], { PATH: testFolder() })
  expect(told).toMatchObject({ code: 0, passed: 0, failed: 0, not_run: 1 })
  expect(told.days[0]?.reason).toContain('prlimit')
}, 60_000)

test.skipIf(process.platform === 'win32')(
  'stopped in the middle, it leaves no process behind',
  async () => {
    const child = node([join(ROOT, 'src/cli/develop/drill.ts'), '--only', 'slow_handler'], {
      cwd: testFolder(),
      env: { TMPDIR: testFolder() },
    })
    const started = () => {
      const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
      const pairs = stdout.split('\n').map(line => line.trim().split(/ +/).map(Number))
      return pairs.find(([, parent]) => parent === child.pid)?.[0]
    }
    // Each look starts a process.
    const app = await until(async () => started() ?? void (await delay(100)), 20_000)
    child.process.kill('SIGTERM')
    expect(await child.ended).toBe(130)
    await until(() => !isAlive(app))
  },
  60_000,
)

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test('every day has a button in the console where it names one, and a place to look that exists', () => {
  expect(DAYS.length).toBeGreaterThan(20)
  expect(new Set(DAYS.map(({ name }) => name)).size).toBe(DAYS.length)
  for (const { name, look, fault } of DAYS) {
    expect([name, existsSync(join(ROOT, look))]).toEqual([name, true])
    if (fault !== undefined) expect([name, findFault(fault)?.name]).toEqual([name, fault])
  }
})

test('--list says why each matters and where its button is; --help and a wrong name tell what to type', async () => {
  const run = (...args: string[]) => typed(join(ROOT, 'src/cli/develop/drill.ts'), args)
  const { out } = await run('--list')
  for (const { name, why } of DAYS) for (const text of [`${name}: `, why]) expect(out).toContain(text)
  expect(out).toContain('http://127.0.0.1:3100/faults#token_dropped')
  expect((await run('--help')).out).toContain('--only NAME')
  const wrong = await run('--only', 'sunny')
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('There is no day sunny')])
})
