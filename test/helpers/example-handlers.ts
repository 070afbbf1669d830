import type { Handlers } from '../../src/builder/context.ts'
import { EVENT_TYPES } from '../../src/revento/platform.ts'

const done = async () => {}

/** One handler for each event type, like the template's own, which the builder may have changed or deleted. */
export const exampleHandlers: Handlers = {
  revento: Object.fromEntries(EVENT_TYPES.map(type => [type, done])),
  // part: senders {
  aghanim: {
    'player.verify': async ({ event }) => {
      const { event_data: player } = event as { event_data?: { player_id?: unknown } }
      const known = player?.player_id === 'testplayer'
      return known ? { body: { status: 'ok' } } : { status: 404, body: { status: 'unknown player' } }
    },
  },
  barker: { message: done },
  // part: senders }
}
