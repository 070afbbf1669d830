// part: sandbox
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { freePort } from '../helpers/ports.ts'
import { copyProject } from '../helpers/project.ts'
import { typed } from '../helpers/typed.ts'
import { until } from '../helpers/wait.ts'

const TRIGGER = fileURLToPath(new URL('../../src/cli/develop/trigger.ts', import.meta.url))
const HANDLER = 'src/integration/handlers/index.ts'
const ROUTES = 'src/integration/routes.ts'
interface Clock {
  offset_s: number
}
const handler = (says: string) => `import type { Handlers } from '../../builder/context.ts'
export const handlers: Handlers = { revento: { 'activity.updated': async ({ log }) => log.info({}, '${says}') } }
`

test('an edited handler serves the next delivery, code that does not load changes nothing, the sandbox stays', async () => {
  const project = copyProject()
  const [port, sandboxPort] = [await freePort(), await freePort()]
  const env = { ...project.env, PORT: String(port), SANDBOX_PORT: String(sandboxPort) }
  const api = async (path: string, body?: object) => {
    const init = body && {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }
    return (await fetch(`http://127.0.0.1:${sandboxPort}/console/api${path}`, init)).json() as Promise<Clock>
  }
  project.write(HANDLER, handler('the first'))
  const dev = node([join(project.folder, 'src/cli/develop/dev.ts')], { cwd: project.folder, env })
  const started = (times: number) => until(() => dev.output.out.split('Ready: open').length > times, 30_000)
  const handles = async (says: string) => {
    // On a busy machine the app says so, and wants it again.
    await until(async () => (await typed(TRIGGER, ['revento', 'activity.updated'], { env })).code === 0)
    await until(() => dev.output.out.includes(says))
  }
  await started(1)
  await handles('the first')
  const { offset_s } = await api('/clock', { advance_s: 7200 })

  // As most editors write: beside the file, and renamed over it.
  const draft = join(project.folder, 'draft.ts')
  writeFileSync(draft, handler('the second'))
  renameSync(draft, join(project.folder, HANDLER))
  await started(2)
  await handles('the second')
  expect([offset_s, (await api('/clock', { advance_s: 1 })).offset_s]).toEqual([7200, 7201])

  project.write(HANDLER, 'export const handlers = {')
  await until(() => dev.output.err.includes('The code before it goes on.'), 30_000)
  expect(dev.output.err).toContain('handlers/index.ts:1')
  expect((await fetch(`http://localhost:${port}/ready`)).status).toBe(200)

  project.write(HANDLER, handler('the third'))
  await started(3)
  await handles('the third')
  expect(dev.output.out.split('Ready: open')).toHaveLength(4)

  // It loads, and cannot start: the old code has been stopped by then.
  expect(dev.output.err).not.toContain('Nothing runs')
  project.write(ROUTES, "export const routes = app => app.get('/app/all', async () => 1)")
  await until(() => dev.output.err.includes('Nothing runs until it is mended.'), 30_000)
  expect(dev.output.err).toContain('src/integration/routes.ts:1: GET /app/all has no guard')
  process.kill(dev.pid, 'SIGTERM')
  expect(await dev.ended).toBe(0)
  await expect(fetch(`http://localhost:${port}/ready`)).rejects.toThrow()
}, 120_000)
