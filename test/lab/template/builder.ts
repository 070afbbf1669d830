import { readFileSync } from 'node:fs'

/** What a builder has made of the template: each file as it stands in their project. */
export const BUILT: Readonly<Record<string, string>> = {
  'README.md': '# Badges\n\nPrints a badge for everybody who gets in.\n',
  'src/integration/settings.ts': `import { type Forms, type SettingsOf, text } from '../builder/define.ts'

export const settings = {
  BADGE_OFFICE: text('where badges are printed, e.g. Hall 2', { development: 'Hall 1' }),
} satisfies Forms
export type Settings = SettingsOf<typeof settings>
`,
  'src/integration/tables.ts': `export interface Tables {
  app_badges: { holder: string }
}
`,
  'src/integration/migrations/001-badges.ts': `import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

export const badges: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('app_badges')
      .addColumn('holder', 'text', c => c.primaryKey())
      .execute()
  },
}
`,
  'src/integration/migrations/index.ts': `import { badges } from './001-badges.ts'

export const migrations = { '001-badges': badges }
`,
  'src/integration/erase.ts': `import type { Erase } from '../builder/erase.ts'

export const erase: Erase = {
  async participant({ db, participantId }) {
    await db.deleteFrom('app_badges').where('holder', '=', participantId).execute()
  },
}
`,
  'src/integration/routes.ts': `import type { Routes } from '../builder/route.ts'

export const routes: Routes = (app, { guard, db, settings }) => {
  app.get('/app/badges', guard.open, async () => {
    const badges = await db.selectFrom('app_badges').select('holder').orderBy('holder').execute()
    return { office: settings.BADGE_OFFICE, holders: badges.map(({ holder }) => holder) }
  })
}
`,
  'src/integration/jobs.ts': `import type { Job } from '../builder/job.ts'

export const jobs: readonly Job[] = [
  {
    name: 'count-badges',
    every: '1h',
    async run({ db, log }) {
      const { length } = await db.selectFrom('app_badges').select('holder').execute()
      log.info({ badges: length }, 'badges were counted')
    },
  },
]
`,
  'src/integration/senders/github.ts': readFileSync(
    new URL('../../webhooks/senders/github.ts', import.meta.url),
    'utf8',
  ).replaceAll('../../../src/', '../../'),
  'src/integration/senders/index.ts': `import { github } from './github.ts'

export const senders = { github }
`,
  'src/integration/handlers/badge.ts': `import type { HandlerContext, QueuedContext } from '../../builder/context.ts'

export async function badge({ event, db }: HandlerContext<'application.approved'>): Promise<void> {
  await print(db, event.data.participant_id)
}

export const push = async ({ db }: QueuedContext): Promise<void> => print(db, 'github')

const print = async (db: QueuedContext['db'], holder: string): Promise<void> => {
  await db
    .insertInto('app_badges')
    .values({ holder })
    .onConflict(c => c.doNothing())
    .execute()
}
`,
  'src/integration/handlers/index.ts': `import type { Handlers } from '../../builder/context.ts'
import { badge, push } from './badge.ts'

export const handlers: Handlers = {
  revento: { 'application.approved': badge },
  github: { push },
}
`,
  'test/integration/badges.test.ts': `import { expect, test } from 'vitest'
import { handlers } from '../../src/integration/handlers/index.ts'
import { readTables } from '../../src/integration/scripts/read.ts'
import { startApp } from '../helpers/app.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'

test('everybody who gets in has a badge', async () => {
  const app = await startApp({ own: true })
  const { body, headers } = signedDelivery()
  const answer = await fetch(\`\${app.url}/webhooks/revento\`, { method: 'POST', body, headers })
  expect([answer.status, Object.keys(handlers)]).toEqual([200, ['revento', 'github']])
  await until(async () => (await readTables(app.url)).includes('ptp_001'))
  await app.close()
})
`,
  'src/integration/scripts/read.ts': `/** The holders of badges, as the route lists them. */
export const readTables = async (url: string): Promise<string[]> => {
  const answer = await fetch(\`\${url}/app/badges\`)
  return ((await answer.json()) as { holders: string[] }).holders
}
`,
}

/** Files of the template that the builder deleted with the example handlers. */
export const DELETED = [
  'application-approved.ts',
  'barker-message.ts',
  'integration-suspended.ts',
  'log-event.ts',
  'player-verify.ts',
].map(name => `src/integration/handlers/${name}`)

/** Lines of the template that the builder has changed: its labels, which mine says to change. */
export const EDITED = {
  path: 'Dockerfile',
  from: 'image.title="revento-starter"',
  to: 'image.title="badges"',
} as const
