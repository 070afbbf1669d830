import { expect, onTestFinished, test } from 'vitest'
import { createLive, everyTenSeconds } from '../../src/http/live.ts'
import { manualClock } from '../helpers/clock.ts'
import { until } from '../helpers/wait.ts'

/** Live pages on a store that counts how often it is read, in a time that the test moves. */
function bench() {
  const clock = manualClock()
  const reads = { sessions: 0, looks: 0, trouble: 0 }
  const state: { failing: boolean; error: string } = { failing: false, error: 'first' }
  const errors: string[] = []
  const trouble = everyTenSeconds(async () => {
    reads.trouble++
    return state.error
  }, clock)
  const live = createLive(
    {
      alive: async ids => {
        reads.sessions++
        if (state.failing) throw new Error('no store')
        return new Map(ids.map(id => [id, 'seen']))
      },
      async look() {
        reads.looks++
        const error = await trouble()
        return async () => ({ health: error })
      },
      log: { error: (_fields, message) => void errors.push(message) },
    },
    clock,
  )
  onTestFinished(() => live.close())
  const listen = (id: string) => {
    const stream = live.listen({
      session: { id, formToken: '' },
      selected: '',
      marks: [],
    })
    let text = ''
    stream?.setEncoding('utf8').on('data', chunk => (text += chunk))
    return { stream, text: () => text }
  }
  /** Lets one second pass, with all that it leads to. */
  const second = async () => {
    await until(() => clock.sleepers().length > 0)
    // What was sent is read first.
    await new Promise(resolve => setImmediate(resolve))
    clock.advance(1_000)
    await until(() => clock.sleepers().length > 0)
  }
  return { clock, live, reads, state, errors, listen, second }
}

test('the store is read once a second, however many listen', async () => {
  const b = bench()
  for (const id of ['a', 'a', 'b', 'c', 'd']) b.listen(id)
  for (let n = 1; n <= 3; n++) {
    await b.second()
    expect(b.reads).toMatchObject({ sessions: n, looks: n })
  }
  expect(b.reads.trouble).toBe(1)
})

test('with no listener the store is left alone', async () => {
  const b = bench()
  expect(b.clock.sleepers()).toEqual([])
  const { stream } = b.listen('a')
  await b.second()
  stream?.destroy()
  await until(() => {
    b.clock.advance(1_000)
    return b.clock.sleepers().length === 0
  })
  const before = b.reads.sessions
  b.clock.advance(60_000)
  expect(b.reads.sessions).toBe(before)
  b.listen('a')
  await b.second()
  expect(b.reads.sessions).toBe(before + 1)
})

test('while nothing changes, a line every fifteen seconds says that the stream is alive', async () => {
  const b = bench()
  const { text } = b.listen('a')
  await b.second()
  const first = text()
  expect(first).toContain('event: parts')
  for (let n = 0; n < 14; n++) await b.second()
  expect(text()).toBe(first)
  await b.second()
  expect(text()).toBe(`${first}: still here\n\n`)
})

test('a listener that does not read gets no queue of the past, and is let go after a minute', async () => {
  const b = bench()
  const stream = b.live.listen({
    session: { id: 'a', formToken: '' },
    selected: '',
    marks: [],
  })
  const waiting = stream?.readableLength
  for (let n = 0; n < 12; n++) {
    b.state.error = `trouble ${n}`
    await b.second()
  }
  expect(stream?.readableLength).toBe(waiting)
  for (let n = 0; n < 50; n++) {
    b.clock.advance(1_000)
    await until(() => b.clock.sleepers().length > 0 || stream?.destroyed)
  }
  expect(stream?.destroyed).toBe(true)
})

test('a store that fails is told of in the log, and asked again', async () => {
  const b = bench()
  const { text } = b.listen('a')
  b.state.failing = true
  await b.second()
  expect(b.errors).toHaveLength(1)
  b.state.failing = false
  await b.second()
  expect(text()).toContain('event: parts')
})

test('trouble of the store is told of within ten seconds', async () => {
  const b = bench()
  const { text } = b.listen('a')
  await b.second()
  b.state.error = 'disk_full'
  for (let n = 0; n < 10; n++) await b.second()
  expect(text()).toContain('disk_full')
  expect(b.reads.trouble).toBe(2)
})

test('there are two hundred streams at most', () => {
  const b = bench()
  const open = Array.from({ length: 201 }, (_, n) =>
    b.live.listen({ session: { id: `s${n}`, formToken: '' }, selected: '', marks: [] }),
  )
  expect(open.map(stream => stream !== undefined).lastIndexOf(true)).toBe(199)
  expect(open[200]).toBeUndefined()
  for (const stream of open) stream?.destroy()
})
