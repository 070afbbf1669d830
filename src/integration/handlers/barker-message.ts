// part: senders
import type { SenderContext } from '../../builder/context.ts'

/** Barker sends any content: `event` is there where it is JSON, `raw` always. */
export async function barkerMessage({ event, raw, log }: SenderContext): Promise<void> {
  log.info({ bytes: raw.length, json: event !== undefined }, 'message from Barker')
}
