import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { node } from '../../helpers/child.ts'
import { copyProject } from '../../helpers/project.ts'

const PROGRAM = 'test/lab/chaos/chaos.ts'
const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
/** Chosen by `--list`: kills, two processes, a lock, webhooks of most kinds, and nothing that waits for long. */
const SEED = ['--seed', 'suite-1296']
/** Its first four actions send a stale webhook. */
const STALE = ['--seed', 'stale-78']
const timeout = 180_000

test('two short schedules break no rule', { timeout }, async () => {
  const chaos = node([PROGRAM, ...SEED, '--runs', '2', '--actions', '14', '--json'], { cwd: ROOT })
  expect([await chaos.ended, chaos.output.err]).toEqual([0, expect.stringContaining('2 of 2')])
  const { results, ...total } = JSON.parse(chaos.output.out)
  expect(results.length).toBe(2)
  expect(total).toMatchObject({ seed: 'suite-1296', schedules: 2, actions: 28, violations: 0 })
  for (const name of ['kills', 'faults', 'requests', 'acknowledged'])
    expect([name, total[name] > 0]).toEqual([name, true])
})

test('an app that takes stale webhooks is found, with the command that finds it again', {
  timeout,
}, async () => {
  const project = copyProject()
  project.replace('src/webhooks/verify/signature.ts', "return 'timestamp_stale'", 'return undefined')
  const chaos = node([PROGRAM, ...STALE, '--only', '1', '--actions', '4'], {
    cwd: project.folder,
    env: { ...project.env, TMPDIR: project.folder },
  })
  expect(await chaos.ended).toBe(1)
  expect(chaos.output.err).toContain('nothing forged, altered, stale or unsigned is taken')
  expect(chaos.output.err).toContain(
    'again: npm run chaos -- --seed stale-78 --only 1 --actions 4 --store sqlite',
  )
})
