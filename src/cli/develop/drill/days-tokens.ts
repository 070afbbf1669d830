import { systemRuntime as runtime } from '../../../process/runtime.ts'
import type { Day, World } from './open-world.ts'
import { EVENT, expect } from './world.ts'

const LOOK = 'src/oauth/access-token.ts'

/** Starts and connects the app, and lets its access token expire. */
async function expired(world: World): Promise<void> {
  await world.start()
  await world.connect('quiet')
  await world.console('/expire-access-tokens', {})
}

/** Checks the answer of GET /participants. */
async function answers(world: World, status: number, error?: string): Promise<void> {
  const reply = await world.participants()
  expect('GET /participants', [reply.status, JSON.parse(reply.text).error], [status, error])
}

/** Resolves when a refresh with an unknown outcome may be tried again. */
export const nextTry = (world: World, ms: number) =>
  world.until('the next try of the refresh', ms, () => {
    const [row] = world.read<{ at: number }>('select refresh_not_before as at from connections')
    return runtime.now() > Number(row?.at)
  })

const connectionState = (world: World) =>
  world.read<{ state: string; reason: string | null }>('select state, reason from connections')[0]

export const TOKEN_DAYS: readonly Day[] = [
  {
    name: 'expired',
    title: 'the access token expires under ten calls at once',
    why: 'Two refreshes of one token make Revento revoke all of them.',
    look: 'src/oauth/refresh.ts',
    fault: 'api_expired',
    async run(world) {
      await expired(world)
      const replies = await Promise.all(Array.from({ length: 10 }, () => world.participants()))
      expect(
        'ten calls',
        replies.map(({ status }) => status),
        Array(10).fill(200),
      )
      expect('refreshes', await world.refreshes(), ['issued'])
    },
  },
  {
    name: 'revoked',
    title: 'the organizer revokes the connection',
    why: 'It is permanent: asking on gets an integration suspended.',
    look: LOOK,
    fault: 'api_revoked',
    async run(world) {
      await world.start()
      await world.connect('quiet')
      await world.console('/revoke', { event_id: EVENT })
      await answers(world, 409, 'revoked')
      await answers(world, 409, 'revoked')
      expect('refreshes', await world.refreshes(), [])
      await world.connect('quiet')
      await answers(world, 200)
    },
  },
  {
    name: 'invalid_grant',
    title: 'the refresh token is refused for good',
    why: 'Only the organizer can mend it; repeating the request cannot.',
    look: 'src/revento/token-outcome.ts',
    async run(world) {
      await expired(world)
      await world.console('/revoke-refresh-tokens', {})
      await answers(world, 409, 'reconsent_required')
      await answers(world, 409, 'reconsent_required')
      expect('refreshes', await world.refreshes(), ['invalid_grant'])
      await world.connect('quiet')
      await answers(world, 200)
    },
  },
  {
    name: 'lost_answer',
    title: 'the refresh token is rotated and the answer gets lost',
    why: 'The old token is spent and the new one unknown: ask again with care, and end nothing on a guess.',
    look: 'src/oauth/refresh.ts',
    fault: 'token_dropped',
    async run(world) {
      await expired(world)
      await world.fault('token_dropped')
      await answers(world, 502, 'upstream_error')
      // The next try comes after five seconds; an earlier call gets the time to wait.
      await nextTry(world, 20_000)
      await answers(world, 409, 'reconsent_required')
      expect('refreshes', await world.refreshes(), ['issued', 'invalid_grant'])
      expect('the reason kept', connectionState(world)?.reason, 'refresh_interrupted')
      await answers(world, 409, 'reconsent_required')
      expect('refreshes after that', (await world.refreshes()).length, 2)
    },
  },
  {
    name: 'invalid_client',
    title: 'Revento refuses our client secret',
    why: 'The operator has to act, not the organizer: the connection must survive.',
    look: 'src/revento/token-outcome.ts',
    fault: 'token_invalid_client',
    async run(world) {
      await expired(world)
      await world.fault('token_invalid_client', { count: 20 })
      await answers(world, 502, 'configuration_error')
      await answers(world, 502, 'configuration_error')
      expect('requests to the token endpoint', (await world.refreshes()).length, 1)
      expect('the connection', connectionState(world), { state: 'connected', reason: null })
    },
  },
]
