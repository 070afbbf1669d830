import { expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { copyProject } from '../helpers/project.ts'

const PROGRAM = 'test/chaos/chaos.ts'
/** Two that have a kill, a second process, a lock and every kind of webhook; found by `--list`. */
const SHORT = ['--seed', 'suite', '--runs', '2', '--actions', '14']

test('short schedules break no rule', { timeout: 60_000 }, async () => {
  const chaos = node([PROGRAM, ...SHORT, '--json'], { cwd: new URL('../..', import.meta.url).pathname })
  expect([await chaos.ended, chaos.output.err]).toEqual([0, expect.stringContaining('2 of 2')])
  const { results, ...total } = JSON.parse(chaos.output.out)
  expect(total).toMatchObject({ seed: 'suite', schedules: 2, actions: 28, violations: 0 })
  for (const name of ['kills', 'faults', 'requests', 'acknowledged'])
    expect([name, total[name] > 0]).toEqual([name, true])
})

test('an app that takes stale webhooks is found, with the command that finds it again', {
  timeout: 60_000,
}, async () => {
  const project = copyProject()
  project.replace('src/webhooks/signature.ts', "return 'timestamp_stale'", 'return undefined')
  const chaos = node([PROGRAM, ...SHORT], { cwd: project.folder })
  expect(await chaos.ended).toBe(1)
  expect(chaos.output.err).toContain('nothing forged, altered, stale or unsigned is taken')
  expect(chaos.output.err).toMatch(
    /again: npm run chaos -- --seed suite --only \d --actions 14 --store sqlite/,
  )
})
