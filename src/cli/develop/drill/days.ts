import { API_DAYS } from './days-api.ts'
import { HANDLER_DAYS } from './days-handlers.ts'
import { MIRROR_DAYS } from './days-mirror.ts'
import { PROCESS_DAYS } from './days-process.ts'
import { TOKEN_DAYS } from './days-tokens.ts'
import { WEBHOOK_DAYS } from './days-webhooks.ts'
import type { Day } from './open-world.ts'

/** Every bad day there is, in the order of the scorecard. A new one is a new entry. */
export const DAYS: readonly Day[] = [
  ...TOKEN_DAYS,
  ...API_DAYS,
  ...WEBHOOK_DAYS,
  ...HANDLER_DAYS,
  ...MIRROR_DAYS,
  ...PROCESS_DAYS,
]
