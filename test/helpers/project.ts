import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { testFolder } from './folder.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface ProjectCopy {
  readonly folder: string
  /** The environment for its processes, which share their compiled code with those of other copies. */
  readonly env: Record<string, string>
  write(path: string, text: string): void
  /** Throws where `text` does not occur, since a test whose change did nothing would prove nothing. */
  replace(path: string, text: string, by: string): void
}

/** The files that replace src/integration in a copy, since the tests break these handlers and not the builder's. */
const INTEGRATION: Readonly<Record<string, string>> = {
  'erase.ts': 'export const erase = {}',
  'event-types.ts': 'export const eventTypes = {}',
  'jobs.ts': 'export const jobs = []',
  'me.ts': "import { html } from '../http/html.ts'\nexport const mePage = () => html`signed in`",
  'migrations/index.ts': 'export const migrations = {}',
  'routes.ts': 'export const routes = () => {}',
  'senders/index.ts':
    "import type { Provider } from '../../webhooks/verify/provider.ts'\nexport const senders = {} satisfies Record<string, Provider>",
  'services.ts': 'export const services = {}',
  'settings.ts': 'export const settings = {}',
  'sync.ts': 'export const sync = { tellFirstRun: false }',
  'tables.ts': 'export type Tables = Record<never, never>',
  'handlers/application-approved.ts': `import type { HandlerContext } from '../../builder/context.ts'
export async function applicationApproved(context: HandlerContext<'application.approved'>): Promise<void> {
  const { event, log } = context
  log.info({ participant_id: event.data.participant_id }, 'application approved')
}`,
  'handlers/barker-message.ts': `import type { SenderContext } from '../../builder/context.ts'
export async function barkerMessage({ raw, log }: SenderContext): Promise<void> {
  log.info({ bytes: raw.length }, 'message from Barker')
}`,
  'handlers/log-event.ts': `import type { HandlerContext } from '../../builder/context.ts'
export async function logEvent({ event, log }: Pick<HandlerContext, 'event' | 'log'>): Promise<void> {
  log.info({ event_id: event.event_id }, 'nothing is done yet')
}`,
  'handlers/index.ts': `import { applicationApproved } from './application-approved.ts'
import { barkerMessage } from './barker-message.ts'
import { logEvent } from './log-event.ts'
const revento = { 'application.approved': applicationApproved }
for (const type of ['application.submitted', 'application.rejected', 'application.revision_requested',
  'participant.registered', 'participant.profile_updated', 'activity.updated', 'activity.capacity_state_changed',
  'data.deletion_required', 'integration.suspended']) revento[type] = logEvent
const verify = async ({ event }) =>
  event.event_data?.player_id === 'testplayer' ? { body: { status: 'ok' } } : { status: 404, body: {} }
export const handlers = {
  revento,
  aghanim: { 'player.verify': verify },
  barker: { message: barkerMessage },
}`,
}

/** Makes a copy of this project for a test to break, with the same dependencies and without `.env` and `data`. */
export function copyProject(): ProjectCopy {
  const folder = testFolder()
  for (const part of ['src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  for (const own of ['src/integration', 'test/integration'])
    rmSync(join(folder, own), { recursive: true, force: true })
  for (const [path, text] of Object.entries(INTEGRATION)) write(`src/integration/${path}`, `${text}\n`)
  return {
    folder,
    env: { NODE_COMPILE_CACHE: join(folder, 'node_modules/.cache/node') },
    write,
    replace(path, text, by) {
      const before = readFileSync(join(folder, path), 'utf8')
      if (!before.includes(text)) throw new Error(`${path} has no ${text}`)
      write(path, before.replace(text, by))
    },
  }
}
