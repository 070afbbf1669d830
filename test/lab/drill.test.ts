import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { drill } from '../helpers/drill.ts'
import { copyProject } from '../helpers/project.ts'

describe('a handler that is broken is caught, and its file is named', () => {
  test('one that is not safe to repeat', async () => {
    const project = copyProject()
    project.write(
      'src/integration/migrations/index.ts',
      `import type { Kysely } from 'kysely'
const badges = {
  up: (db: Kysely<unknown>) => db.schema.createTable('app_badges').addColumn('holder', 'text').execute(),
}
export const migrations = { '001-badges': badges }
`,
    )
    project.write(
      'src/integration/handlers/application-approved.ts',
      `import type { HandlerContext } from '../../builder/context.ts'
export async function applicationApproved({ event, db }: HandlerContext<'application.approved'>): Promise<void> {
  await db.insertInto('app_badges' as never).values({ holder: event.data.participant_id } as never).execute()
}
`,
    )
    const told = await drill(project, ['handler_throws'])
    expect(told).toMatchObject({ code: 1, failed: 1 })
    expect(told.days[0]).toMatchObject({
      status: 'failed',
      look: 'src/integration/handlers/application-approved.ts',
    })
    expect(told.days[0]?.reason).toMatch(/second run of every handler left something else in "app_badges"/)
    expect(existsSync(join(told.days[0]?.folder ?? '', 'app.log'))).toBe(true)
  }, 120_000)

  test('one that never ends and does not heed its signal', async () => {
    const project = copyProject()
    project.replace(
      'src/integration/handlers/log-event.ts',
      'Promise<void> {\n',
      'Promise<void> {\n  await new Promise(() => {})\n',
    )
    const told = await drill(project, ['handler_payloads'])
    expect(told).toMatchObject({ code: 1, failed: 1 })
    expect(told.days[0]).toMatchObject({
      status: 'failed',
      look: 'src/integration/handlers/log-event.ts',
    })
    expect(told.days[0]?.reason).toMatch(/log-event\.ts \(\S+\) did not end within 20 s/)
  }, 120_000)

  test('whoever forgets which news is newer', async () => {
    const project = copyProject()
    project.replace(
      'src/webhooks/dispatch/keep-participant.ts',
      'occurredAt: String(occurred_at)',
      'occurredAt: occurred_at ? new Date().toISOString() : ""',
    )
    const told = await drill(project, ['out_of_order'])
    expect(told.days[0]).toMatchObject({ name: 'out_of_order', status: 'failed' })
    expect(told.days[0]?.reason).toMatch(/the other order left something else in "participants"/)
    expect(told.days[0]?.look).toBe('src/webhooks/dispatch/keep-participant.ts')
  }, 120_000)
})

test('a setting that only .env has is told with what to type', async () => {
  const project = copyProject()
  project.write(
    'src/integration/settings.ts',
    `import { text } from '../builder/define.ts'
export const settings = { BADGE_HALL: text('the hall where badges are printed') }
`,
  )
  const told = await drill(project, ['stale'])
  expect(told.days[0]?.reason).toContain('BADGE_HALL  is missing: give the hall')
  expect(told.days[0]?.look).toMatch(
    /^src\/integration\/settings\.ts: the drill does not read \.env, so give/,
  )
}, 60_000)

test('a handler that posts again without once() is warned about, and one that keeps somebody is caught', async () => {
  const project = copyProject()
  project.write(
    'src/integration/migrations/index.ts',
    `import type { Kysely } from 'kysely'
const seats = {
  up: (db: Kysely<unknown>) => db.schema.createTable('app_seats').addColumn('holder', 'text', c => c.primaryKey()).execute(),
}
export const migrations = { '001-seats': seats }
`,
  )
  project.write(
    'src/integration/handlers/application-approved.ts',
    `import type { HandlerContext } from '../../builder/context.ts'
export async function applicationApproved({ event, db, once }: HandlerContext<'application.approved'>): Promise<void> {
  const post = (url: string) => fetch(url, { method: 'POST', body: event.id }).then(answer => answer.json())
  await post('https://careless.example/welcome?who=' + event.id)
  await once('welcome', () => post('https://careful.example/welcome'))
  await db.insertInto('app_seats' as never).values({ holder: event.data.participant_id } as never)
    .onConflict(c => c.doNothing()).execute()
}
`,
  )
  const told = await drill(project, ['handler_throws', 'person_erased', 'erasure'])
  const days = Object.fromEntries(told.days.map(day => [day.name, day]))
  expect(days['handler_throws']).toMatchObject({ status: 'passed' })
  expect(days['handler_throws']?.warnings).toEqual([
    expect.stringMatching(
      /^src\/integration\/handlers\/application-approved\.ts sent POST https:\/\/careless\.example once more for \d+ of its deliveries/,
    ),
  ])
  for (const name of ['person_erased', 'erasure'])
    expect(days[name]).toMatchObject({
      status: 'failed',
      look: 'src/integration/erase.ts',
      reason: expect.stringContaining('the table "app_seats" still holds'),
    })
}, 120_000)

test('an erasure that erases nothing is caught, and the table that still holds somebody is named', async () => {
  const project = copyProject()
  project.replace('src/storage/sweep.ts', 'while (await batch()) {', 'while (batch === undefined) {')
  const told = await drill(project, ['erasure'])
  expect(told).toMatchObject({ code: 1, failed: 1 })
  expect(told.days[0]).toMatchObject({ status: 'failed', look: 'src/storage/sweep.ts' })
  expect(told.days[0]?.reason).toMatch(
    /^after data\.deletion_required, the table "(?:participants|deliveries)" still holds "\w+/,
  )
}, 120_000)

test('a table of your own that keeps the event, an open handshake and a broken sender of your own are caught', async () => {
  const project = copyProject()
  const ends = '): Promise<void> {\n'
  project.replace(
    'src/integration/handlers/application-approved.ts',
    '  const { event, log } = context\n',
    `  const { event, log } = context
  const { DatabaseSync } = await import('node:sqlite')
  const own = new DatabaseSync('data/drill.db', { timeout: 0 })
  const isStored = () => {
    try {
      own.exec('create table if not exists badges (holder text)')
      return own.prepare('insert into badges values (?)').run(event.data.participant_id).changes === 1
    } catch {
      return false
    }
  }
  while (!isStored()) await new Promise(resolve => setTimeout(resolve, 20))
  own.close()
`,
  )
  project.replace('src/webhooks/handshake/handshake.route.ts', "if (caller === 'unknown')", 'if (false)')
  const copied = (from: string, to: string, name: string) => {
    const text = readFileSync(join(project.folder, from), 'utf8')
    project.write(to, text.replaceAll('barker', name).replaceAll('BARKER', name.toUpperCase()))
  }
  copied('src/webhooks/providers/barker.ts', 'src/integration/senders/acme.ts', 'acme')
  project.replace('src/integration/senders/acme.ts', '../verify', '../../webhooks/verify')
  copied('src/integration/handlers/barker-message.ts', 'src/integration/handlers/acme-message.ts', 'acme')
  project.replace(
    'src/integration/handlers/acme-message.ts',
    ends,
    `${ends}  throw new TypeError('no badge')\n`,
  )
  project.replace('src/integration/senders/index.ts', '{} satisfies', '{ acme } satisfies')
  project.replace('src/integration/senders/index.ts', 'import', "import { acme } from './acme.ts'\nimport")
  project.replace(
    'src/integration/handlers/index.ts',
    '  barker: {',
    '  acme: { message: acmeMessage },\n  barker: {',
  )
  project.replace(
    'src/integration/handlers/index.ts',
    'import {',
    "import { acmeMessage } from './acme-message.ts'\nimport {",
  )
  const told = await drill(project, ['erasure', 'handshake', 'handler_payloads'])
  expect(told.days.map(({ reason }) => reason)).toEqual([
    expect.stringContaining('acme-message.ts (message) threw TypeError'),
    expect.stringMatching(/the table "badges" still holds "ptp_\w+"/),
    'a message before the token: 200, not 401',
  ])
  expect(told.days.map(({ look }) => look)).toEqual([
    'src/integration/handlers/acme-message.ts',
    'src/integration/erase.ts',
    'src/webhooks/handshake/handshake.route.ts',
  ])
}, 120_000)

test('code that is broken is caught too: a longer time limit, and no second try', async () => {
  const project = copyProject()
  project.replace(
    'src/webhooks/providers/revento.ts',
    "'x-revento-timestamp', 300_000",
    "'x-revento-timestamp', 900_000",
  )
  project.replace('src/revento/request.ts', 'MAX_REQUESTS = 3', 'MAX_REQUESTS = 1')
  const told = await drill(project, ['truncated', 'stale', 'future', 'tampered'])
  expect(told.days.map(({ name, status }) => [name, status])).toEqual([
    ['truncated', 'failed'],
    ['stale', 'failed'],
    ['future', 'failed'],
    ['tampered', 'passed'],
  ])
  expect(told.days[1]?.reason).toContain('the answers: [200], not [401,200]')
}, 120_000)
