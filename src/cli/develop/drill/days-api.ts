import { systemRuntime as runtime } from '../../../process/runtime.ts'
import type { Day, World } from './open-world.ts'
import { expect, Failed } from './world.ts'

async function connected(world: World): Promise<void> {
  await world.start()
  await world.connect('quiet')
}

async function status(world: World): Promise<number> {
  return (await world.participants()).status
}

/** Checks that the connection outlived the platform's bad minutes. */
async function survives(world: World): Promise<void> {
  await world.console('/faults/clear', {})
  await world.until('the API is used again', 10_000, async () => (await status(world)) === 200)
}

export const API_DAYS: readonly Day[] = [
  {
    name: 'rate_limited',
    title: '429 with Retry-After',
    why: 'Many 429s in a short time bring a suspension: nothing may be sent before the time is up.',
    look: 'src/revento/rate-limiter.ts',
    fault: 'api_rate_limited',
    async run(world) {
      await connected(world)
      await world.fault('api_rate_limited', { count: 10 })
      const begun = runtime.monotonic()
      const first = await world.participants()
      expect(
        'with three seconds to wait',
        [first.status, first.headers['retry-after'] !== undefined],
        [503, true],
      )
      await status(world)
      const sent = await world.struck('api_rate_limited')
      if (runtime.monotonic() - begun > 2_500)
        throw new Failed('this machine is too slow to tell: run it again')
      expect('requests sent meanwhile', sent, 1)
      await survives(world)
    },
  },
  {
    name: 'concurrent_limit',
    title: '429 without Retry-After, and twelve calls at once',
    why: 'Revento takes five at a time; the others wait for one of ours to end.',
    look: 'src/revento/rate-limiter.ts',
    fault: 'api_concurrent',
    async run(world) {
      await connected(world)
      await world.fault('api_concurrent')
      const all = await Promise.all(Array.from({ length: 12 }, () => status(world)))
      expect('twelve calls', all, Array(12).fill(200))
      expect('refusals', await world.struck('api_concurrent'), 1)
    },
  },
  {
    name: 'server_error',
    title: 'the API and the token endpoint answer 5xx',
    why: 'It passes by itself: tries again, within bounds, and keeps the tokens.',
    look: 'src/revento/request.ts',
    fault: 'api_500',
    async run(world) {
      await connected(world)
      await world.fault('api_500', { count: 2 })
      expect('after two of them', await status(world), 200)
      await world.console('/expire-access-tokens', {})
      await world.fault('token_500')
      expect('after one at the token endpoint', await status(world), 200)
      await world.fault('api_500', { count: 1000 })
      expect('while it lasts', await status(world), 502)
      const struck = await world.struck('api_500')
      if (struck > 5) throw new Failed(`one call was sent ${struck - 2} times`)
      await survives(world)
    },
  },
  {
    name: 'timeout',
    title: 'the API never answers',
    why: 'A call without an end holds its caller, a place and a socket.',
    look: 'src/revento/http.ts',
    fault: 'api_silent',
    async run(world) {
      await connected(world)
      await world.fault('api_silent', { count: 1000 })
      const asked = world.participants()
      for (const path of ['/health', '/ready']) expect(path, (await world.get(path)).status, 200)
      const ended = asked.then(reply => reply.status)
      expect('the answer to the caller', await world.until('an answer', 20_000, () => ended), 504)
      await survives(world)
    },
  },
  {
    name: 'truncated',
    title: 'an answer of the API breaks off',
    why: 'Half of a list must never pass for the whole.',
    look: 'src/revento/request.ts',
    fault: 'api_truncated',
    async run(world) {
      await connected(world)
      await world.fault('api_truncated')
      const reply = await world.participants()
      expect('rows', [reply.status, JSON.parse(reply.text).data?.length], [200, 5])
      expect('broken answers', await world.struck('api_truncated'), 1)
    },
  },
]
