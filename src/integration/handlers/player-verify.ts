// part: senders
import type { InlineAnswer, SenderContext } from '../../builder/context.ts'

/** The player of Aghanim's own example. Look up your players instead; an unknown player is denied. */
const PLAYERS: ReadonlySet<unknown> = new Set(['testplayer'])

/** Aghanim asks whether this player exists, and waits: what is returned is the answer. */
export async function playerVerify({ event, log }: SenderContext): Promise<InlineAnswer> {
  const { event_data: player } = event as { event_data?: { player_id?: unknown } }
  const known = PLAYERS.has(player?.player_id)
  log.info({ known }, 'player asked for')
  return known ? { body: { status: 'ok' } } : { status: 404, body: { status: 'unknown player' } }
}
