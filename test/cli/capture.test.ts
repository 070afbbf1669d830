import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { startApp, type TestApp } from '../helpers/app.ts'
import { node } from '../helpers/child.ts'
import { createClient } from '../helpers/client.ts'
import { pathOf } from '../helpers/database.ts'
import { testFolder } from '../helpers/folder.ts'
import { copyProject, type ProjectCopy } from '../helpers/project.ts'
import { typed } from '../helpers/typed.ts'
import { until } from '../helpers/wait.ts'
import { envelope, signedDelivery } from '../helpers/webhook.ts'

const DATA = {
  id: 'app_9',
  participant_id: 'ptp_9',
  name: 'Ada Lovelace',
  status: 'approved',
  custom_form_fields: { dietary_notes: 'no nuts' },
  capacity: '@9007199254740993123@',
  dob: '@9007199254740993987@',
}
/** JavaScript cannot write such numbers itself. */
const withNumbers = (event: object) => JSON.stringify(event).replaceAll(/"@(\d+)@"/g, '$1')

/** An app that has handled one delivery, a repeat of it, and one of a type that looks like a path. */
async function appWithDeliveries() {
  const app = await startApp()
  const client = createClient()
  const event = envelope({ data: DATA })
  const odd = envelope({ type: '../../Evil`$1', event_id: null, organization_id: null })
  for (const body of [event, event, odd]) {
    const { body: bytes, headers } = signedDelivery({ body: withNumbers(body) })
    expect((await client.post(`${app.url}/webhooks/revento`, bytes, headers)).status).toBe(200)
  }
  const states = () => app.database.query.selectFrom('inbox').select('state').orderBy('id').execute()
  await until(
    async () => JSON.stringify((await states()).map(row => row.state)) === '["done","duplicate","ignored"]',
  )
  return app
}

const HARNESS = fileURLToPath(new URL('../helpers/handlers.ts', import.meta.url))
const CLI = fileURLToPath(new URL('../../src/cli/operate/deliveries.ts', import.meta.url))

/** The command writes below the folder in which it is typed. */
const run = (cwd: string, app: TestApp, ...args: string[]) =>
  typed(CLI, args, { cwd, env: { DATABASE_URL: `sqlite:${pathOf(app.config.store)}` } })

/** As `npx vitest run FILE` in that project, on one of the two databases. */
async function vitest(project: ProjectCopy, file: string) {
  const child = node(
    [join(project.folder, 'node_modules/vitest/vitest.mjs'), 'run', '--project', 'sqlite', file],
    {
      cwd: project.folder,
      env: { ...project.env, NO_COLOR: '1' },
    },
  )
  return { code: await child.ended, ...child.output }
}

test('a captured delivery becomes a fixture without the person, and a test that is green until the handler breaks', async () => {
  const app = await appWithDeliveries()
  const project = copyProject()
  const own = node([join(project.folder, 'src/cli/operate/deliveries.ts'), 'capture', '1'], {
    cwd: project.folder,
    env: { ...project.env, DATABASE_URL: `sqlite:${pathOf(app.config.store)}` },
  })
  const [code, { out }] = [await own.ended, own.output]
  await app.close()
  expect(code).toBe(0)
  const [fixture = '', file = ''] = out.split('\n')
  expect([fixture, file]).toEqual([
    'test/integration/captured/application-approved-1.json',
    'test/integration/captured-application-approved-1.test.ts',
  ])
  const text = readFileSync(join(project.folder, fixture), 'utf8')
  expect(text).not.toMatch(/Ada|nuts|dob|dietary|993987/)
  expect(text).toContain('"capacity": 9007199254740993123')
  expect(text).toMatch(/"member_\d+": 1111111111111111111/)
  expect(JSON.parse(text)).toMatchObject({
    type: 'application.approved',
    event: { data: { participant_id: expect.stringMatching(/^ptp_\d+$/), status: 'approved' } },
  })

  // part: sandbox, tools {
  // The drill sends it too, as news of somebody whom the sandbox does not know.
  const show = `import { storyOf } from './src/cli/develop/drill/deliveries.ts'
    console.log(storyOf().first.map(draft => draft.body).filter(Boolean).join('\\n'))`
  const story = node(['--input-type=module', '-e', show], { cwd: project.folder, env: project.env })
  await story.ended
  expect(story.output.out).toMatch(/"participant_id":"ptp_captured_0_\d+".*"capacity":9007199254740993123/)
  // part: sandbox, tools }

  const green = await vitest(project, file)
  expect([green.code, green.out]).toEqual([0, expect.stringContaining('1 passed')])

  project.replace(
    'src/integration/handlers/application-approved.ts',
    'log.info(',
    "if (event) throw new TypeError('broken')\n  log.info(",
  )
  const red = await vitest(project, file)
  expect([red.code, red.out]).toEqual([1, expect.stringContaining('1 failed')])
  expect(red.out + red.err).toContain('failed: TypeError: broken')
}, 90_000)

test('--out chooses the folder; nothing is overwritten; a type does not choose a path', async () => {
  const app = await appWithDeliveries()
  const folder = testFolder()
  expect((await run(folder, app, 'capture', '3', '--out', 'test/mine')).code).toBe(0)
  expect(readdirSync(join(folder, 'test/mine'))).toEqual(['captured', 'captured-evil-1-3.test.ts'])
  const text = readFileSync(join(folder, 'test/mine/captured-evil-1-3.test.ts'), 'utf8')
  expect(text).toContain(`from '${relative(join(folder, 'test/mine'), HARNESS)}'`)
  expect(text).toContain("test('..?..?Evil??1, as captured")
  const again = await run(folder, app, 'capture', '3', '--out', 'test/mine')
  expect([again.code, again.err]).toEqual([1, expect.stringContaining('is there already')])
  await app.close()
})

test.each([
  [['capture', '2'], 'capture 1, which it repeats'],
  [['capture', '99'], 'There is no delivery 99'],
  [['capture'], 'capture needs the ID'],
  [['list', '--out', 'x'], '--out belongs to capture'],
])('%j says what is wrong, and writes nothing', async (args, text) => {
  const app = await appWithDeliveries()
  const folder = testFolder()
  const { code, err } = await run(folder, app, ...args)
  await app.close()
  expect([code, err]).toEqual([1, expect.stringContaining(text)])
  expect(readdirSync(folder)).toEqual([])
})
