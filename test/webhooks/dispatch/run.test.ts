import { expect, test } from 'vitest'
import { createAttempt } from '../../../src/webhooks/dispatch/run.ts'
import { manualClock } from '../../helpers/clock.ts'

test('a run begins before its handler does, which may work long before it first waits', async () => {
  const clock = manualClock()
  const run = async () => clock.advance(5_000)
  const options = { run, maxAttempts: 8, isParking: () => false, describeError: { text: String } }
  const begin = createAttempt(options, new AbortController().signal, clock)
  const [startedAt, since] = [clock.now(), clock.monotonic()]
  const begun = begin({
    ...{ id: 1, provider: 'revento', type: 'a.b', eventId: null, organizationId: null, attempt: 1 },
    ...{ receivedAt: startedAt, since: startedAt, platform: 'real', envelopeId: 'e', owner: 'me' },
    ...{ receipt: null, body: Buffer.from('{}') },
  })
  expect(await begun.ended).toEqual({ outcome: { state: 'done' } })
  expect(begun).toMatchObject({ startedAt, since })
})
