// part: tools
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { signedHeaders } from '../../src/webhooks/verify/send.ts'
import { node } from '../helpers/child.ts'
import { freePort } from '../helpers/ports.ts'
import { copyProject } from '../helpers/project.ts'
import { until } from '../helpers/wait.ts'
import { github } from '../webhooks/senders/github.ts'

const SENDER = readFileSync(new URL('../webhooks/senders/github.ts', import.meta.url), 'utf8')
const OWN: Record<string, string> = {
  'settings.ts': `import { type Forms, type SettingsOf, text, wholeNumber } from '../builder/define.ts'
export const settings = {
  BADGE_OFFICE: text('where badges are printed, e.g. Hall 2'),
  BADGE_COPIES: wholeNumber('copies', { least: 1, most: 9, otherwise: 2 }),
} satisfies Forms
export type Settings = SettingsOf<typeof settings>
`,
  'services.ts': `import { type Started, service } from '../builder/service.ts'
export const services = {
  printer: service({
    start: ({ settings, log }) => {
      const printed: string[] = []
      return { printed, print: (what: string) => log.info({}, \`\${what} in \${settings.BADGE_OFFICE}\`) }
    },
    stop: printer => printer.print('closed'),
  }),
}
export type Services = Started<typeof services>
`,
  'migrations/001-badges.ts': `export const badges = {
  async up(db) {
    await db.schema.createTable('app_badges').addColumn('holder', 'text').execute()
  },
}
`,
  'migrations/002-holders.ts': `import { sql } from 'kysely'
export const holders = {
  async up(db) {
    await sql\`alter table app_badges ad column seat text\`.execute(db)
  },
}
`,
  'migrations/index.ts': `import { badges } from './001-badges.ts'
import { holders } from './002-holders.ts'
export const migrations = { '001-badges': badges }
export const later = { '002-holders': holders }
`,
  'routes.ts': `import { html } from '../http/html.ts'
import type { Routes } from '../builder/route.ts'
export const routes: Routes = (app, { guard, page, services, settings }) => {
  app.get('/app/office', guard.open, (_request, reply) =>
    page(reply, { title: 'Badges', body: html\`<p>\${settings.BADGE_OFFICE}, \${settings.BADGE_COPIES}</p>\` }))
  app.get('/app/mine', guard.organizer, async request => request.organizer.events.length + services.printer.printed.length)
}
`,
  'jobs.ts': `import type { Job } from '../builder/job.ts'
export const jobs: readonly Job[] = [
  { name: 'count-badges', every: '1h', run: async ({ services, revento }) =>
    services.printer.print(\`\${(await revento.connections()).length} connections\`) },
]
`,
  'senders/github.ts': SENDER.replaceAll('../../../src/', '../../'),
  'senders/index.ts': `import { github } from './github.ts'
export const senders = { github }
`,
  'handlers/index.ts': `import type { Handlers } from '../../builder/context.ts'
export const handlers: Handlers = {
  revento: {},
  github: {
    push: async ({ services, event }) => services.printer.print(\`push of \${(event as { hook_id: string }).hook_id}\`),
  },
}
`,
}

/** What is broken, and what the start says of it. */
const BROKEN: [file: string, text: string, by: string, says: string][] = [
  ['../../.env', 'BADGE_OFFICE=Hall 2', '#', 'BADGE_OFFICE  is missing: give where badges are printed'],
  [
    'services.ts',
    'const printed',
    "throw new Error('no paper')\n      const printed",
    'src/integration/services.ts:5: the service "printer" did not start: Error: no paper',
  ],
  [
    'migrations/index.ts',
    "'001-badges': badges }",
    "'001-badges': badges, '002-holders': holders }",
    `src/integration/migrations/002-holders.ts:3: your migration '002-holders' failed: near "ad": syntax error`,
  ],
  ['routes.ts', 'guard.organizer, async', 'async', 'src/integration/routes.ts:6: GET /app/mine has no guard'],
  ['jobs.ts', "'1h'", "'1w' as '1h'", `src/integration/jobs.ts:3: the job "count-badges" has every: '1w'`],
  [
    'senders/index.ts',
    '{ github }\n',
    '{ gitHub: github }\n',
    'src/integration/senders/index.ts:2: "gitHub" has the name "github"',
  ],
]

test('what a builder adds in one folder and .env runs; what is wrong in it stops the start, with file and line', async () => {
  const project = copyProject()
  const own = (path: string) => join('src/integration', path)
  const [port, sandboxPort] = [await freePort(), await freePort()]
  for (const [path, text] of Object.entries(OWN)) project.write(own(path), text)
  const secret = 'secret-of-github-for-one-afternoon'
  const lines = [`GITHUB_WEBHOOK_SECRET=${secret}`, `PORT=${port}`, `SANDBOX_PORT=${sandboxPort}`]
  project.write('.env', ['BADGE_OFFICE=Hall 2', ...lines, ''].join('\n'))
  // A value for a setting of this clone's, which may have the same name, would win over the file.
  const env = { ...project.env, BADGE_OFFICE: undefined }
  const start = () => node([join(project.folder, 'src/main.ts')], { cwd: project.folder, env })

  const app = start()
  await app.says('Ready: open', 30_000)
  const url = `http://localhost:${port}`
  await app.says('0 connections in Hall 2')
  expect(await (await fetch(`${url}/app/office`)).text()).toContain('<p>Hall 2, 2</p>')
  expect((await fetch(`${url}/app/mine`)).status).toBe(401)
  const body = Buffer.from(github.example({ type: 'push', id: 'h1', at: 0 }))
  const signed = {
    provider: github,
    secret,
    body,
    type: 'push',
    deliveryId: 'd1',
    at: 0,
  }
  const send = () => fetch(`${url}/webhooks/github`, { method: 'POST', body, headers: signedHeaders(signed) })
  // On a busy machine the app says so, and wants it again.
  const sent = await until(async () => {
    const answer = await send()
    return answer.status !== 503 && answer
  })
  expect([sent.status, await sent.text()]).toEqual([202, 'ok'])
  await app.says('push of h1 in Hall 2')
  process.kill(app.pid, 'SIGTERM')
  expect(await app.ended).toBe(0)
  expect(app.output.out).toContain('closed in Hall 2')

  for (const [file, text, by, says] of BROKEN) {
    const before = readFileSync(join(project.folder, own(file)), 'utf8')
    project.replace(own(file), text, by)
    const broken = start()
    expect([await broken.ended, broken.output.err], says).toEqual([1, expect.stringContaining(says)])
    expect(broken.output.err).not.toContain('    at ')
    project.write(own(file), before)
  }
}, 120_000)
