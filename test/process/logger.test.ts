import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createLogWriter } from '../../src/process/log-writer.ts'
import { createLines } from '../../src/process/logger.ts'
import { until } from '../helpers/wait.ts'

function logger(level: string) {
  const lines: Record<string, unknown>[] = []
  const urgent: boolean[] = []
  const log = createLines(level, (line, hurry) => {
    expect(line.endsWith('}\n')).toBe(true)
    lines.push(JSON.parse(line))
    urgent.push(hurry)
  })
  return { log, lines, urgent }
}

test('a line has level, time, what its logger is bound to, its fields and its message', () => {
  const { log, lines, urgent } = logger('info')
  log.child({ request_id: 'a' }).child({ trace_id: 'b' }).info({ delivery: 1, type: undefined }, 'request')
  log.warn('only a text')
  log.error(new TypeError('broken'))
  log.debug({}, 'below the level')
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  expect(lines).toEqual([
    { level: 'info', time, request_id: 'a', trace_id: 'b', delivery: 1, msg: 'request' },
    { level: 'warn', time, msg: 'only a text' },
    { level: 'error', time, err: expect.objectContaining({ type: 'TypeError', message: 'broken' }) },
  ])
  expect(urgent).toEqual([false, true, true])
})

test('fields that cannot be written cost their line nothing else', () => {
  const { log, lines } = logger('trace')
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  log.info({ circle, big: 1n, kept: 'yes' }, 'odd')
  expect(lines).toMatchObject([{ circle: 'unprintable', big: 'unprintable', kept: 'yes', msg: 'odd' }])
})

test('lines go out together and in their order, an urgent one at once, and the last at exit', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'revento-log-')), 'log')
  const fd = openSync(path, 'a')
  onTestFinished(() => closeSync(fd))
  const writer = createLogWriter(fd)
  const read = () => readFileSync(path, 'utf8')
  writer.write('one\n', false)
  writer.write('two\n', false)
  expect(read()).toBe('')
  await until(() => read() === 'one\ntwo\n')
  for (const line of ['three\n', 'four\n']) writer.write(line, line === 'four\n')
  writer.write('five\n', false)
  await until(() => read() === 'one\ntwo\nthree\nfour\nfive\n')
  writer.write('six\n', false)
  writer.flushSync()
  expect(read()).toMatch(/five\nsix\n$/)
})
