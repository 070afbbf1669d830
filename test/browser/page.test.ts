// part: sandbox
import type { Page } from 'playwright-core'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Handlers } from '../../src/builder/context.ts'
import { SANDBOX_CREDENTIALS } from '../../src/config/checks.ts'
import { createLines } from '../../src/process/logger.ts'
import type { Runtime } from '../../src/process/runtime.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { startBeside } from '../../src/sandbox/beside.ts'
import type { Sandbox } from '../../src/sandbox/index.ts'
import { startApp, type TestApp } from '../helpers/app.ts'
import { browserOrSkip } from '../helpers/browser.ts'
import { exampleHandlers } from '../helpers/example-handlers.ts'
import { freePort } from '../helpers/ports.ts'
import { testRuntime } from '../helpers/runtime.ts'
import { until } from '../helpers/wait.ts'

const browser = await browserOrSkip()

/** Needs the connection, so it parks while that waits for the organizer; else it does nothing. */
const needy = {
  revento: {
    ...exampleHandlers.revento,
    'activity.updated': async ({ api }) => void (await api.participants()),
  },
} satisfies Handlers

describe.skipIf(!browser)('the organizer’s page in a browser', () => {
  const time = testRuntime()
  /** An open page hears of news four times a second instead of once. */
  const runtime: Runtime = {
    ...time,
    sleep: (ms, signal) => time.sleep(ms === 1_000 ? 250 : ms, signal),
  }
  const outgoing = createOutgoing()
  let app: TestApp
  /** It sends browsers and webhooks to `app`. */
  let played: Sandbox
  beforeAll(async () => {
    const sandboxPort = await freePort()
    const { clientId, clientSecret, webhookSecret } = SANDBOX_CREDENTIALS
    app = await startApp({
      runtime,
      authBase: `http://127.0.0.1:${sandboxPort}`,
      apiBase: `http://127.0.0.1:${sandboxPort}/api/v1`,
      env: {
        REVENTO_CLIENT_ID: clientId,
        REVENTO_CLIENT_SECRET: clientSecret,
        REVENTO_WEBHOOK_SECRET: webhookSecret,
        SANDBOX_PORT: String(sandboxPort),
        SYNC_EVERY_HOURS: '24',
      },
      handlers: needy,
    })
    const edge = { runtime, dispatcher: outgoing.api, log: createLines('fatal', () => {}) }
    played = await startBeside(app.config, edge)
  })
  afterAll(async () => {
    await app.close()
    await played.close()
    await outgoing.close()
    await browser?.close()
  })

  const sandbox = (control: string, body: object = {}) =>
    request(`${played.url}/console/api/${control}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }).then(answer => answer.body.dump())
  const send = (type: string) => sandbox('webhooks', { type })

  async function visit(javaScriptEnabled = true): Promise<Page> {
    const context = await browser?.newContext({ javaScriptEnabled })
    const page = await context?.newPage()
    if (!page) throw new Error('no page')
    return page
  }
  async function connect(page: Page): Promise<void> {
    await page.goto(`${app.url}/connect`)
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.waitForURL(`${app.url}/`)
  }
  /** A mark that does not outlive a reload. */
  const mark = (page: Page) => page.evaluate('window.notReloaded = true')
  const isMarked = (page: Page) => page.evaluate<boolean>('window.notReloaded === true')
  const row = (page: Page, type: string, state: string) =>
    page.locator(`tr[data-state=${state}]`, { hasText: type }).first()
  const expireForGood = async () => {
    await sandbox('revoke-refresh-tokens')
    await sandbox('expire-access-tokens')
  }
  const handled = () => app.database.query.updateTable('outcomes').set({ state: 'done' }).execute()

  test('from connecting to a parked delivery that finishes by itself, without a reload by hand', async () => {
    const page = await visit()
    const complaints: string[] = []
    page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', error => complaints.push(error.message))
    await connect(page)
    await page.getByText('Live', { exact: true }).waitFor()
    await mark(page)
    await row(page, 'application.submitted', 'done').waitFor()

    // The access token expires: nobody notices.
    await sandbox('expire-access-tokens')
    await page.goto(app.url)
    await page.getByText('All good.').waitFor()
    await page.locator('#part-participants tbody tr').nth(24).waitFor()

    // Then it cannot be renewed: a webhook that needs it finds out, and the open page shows it.
    await mark(page)
    await expireForGood()
    await send('activity.updated')
    await row(page, 'activity.updated', 'parked').waitFor()
    await page.getByText('Waiting for you: Revento asks to connect this event again').waitFor()
    await page.getByText('Revento no longer accepts the permission that was given.').waitFor()
    await page.getByText('Something needs you').waitFor()
    expect(await isMarked(page)).toBe(true)
    const parkedAt = await row(page, 'activity.updated', 'parked').getByRole('link').getAttribute('href')

    await page
      .getByRole('link', { name: /^Reconnect/ })
      .first()
      .click()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await row(page, 'activity.updated', 'done').waitFor()
    await page.getByText('All good.').waitFor()
    await page.goto(app.url + parkedAt)
    await page.getByText('stopped: Revento asks to connect this event again').waitFor()
    expect(await page.locator('[data-outcome=done]').count()).toBe(1)
    expect(complaints).toEqual([])
    await page.context().close()
  }, 60_000)

  test('without JavaScript the same facts are there, and nothing moves by itself', async () => {
    const page = await visit(false)
    await connect(page)
    await expireForGood()
    await send('activity.updated')
    await until(async () => {
      await page.getByRole('link', { name: 'Refresh the page' }).click()
      return (await row(page, 'activity.updated', 'parked').count()) === 1
    })
    await page.getByText('Waiting for you: Revento asks to connect this event again').waitFor()
    await page.getByText('Revento no longer accepts the permission that was given.').waitFor()
    expect(await page.locator('meta[http-equiv]').count()).toBe(0)
    expect(await page.locator('time').first().textContent()).toContain('UTC')
    await row(page, 'activity.updated', 'parked').getByRole('link').click()
    await page.getByText('It goes on by itself when the event is connected again.').waitFor()
    await page
      .getByRole('link', { name: /^Reconnect/ })
      .first()
      .click()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await until(async () => {
      await page.getByRole('link', { name: 'Refresh the page' }).click()
      return (await row(page, 'activity.updated', 'parked').count()) === 0
    })
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByRole('heading', { name: 'Connect a Revento event' }).waitFor()
    await page.context().close()
  }, 60_000)

  test('a dead delivery is replayed by keyboard, and the focus stays while the page changes under it', async () => {
    const page = await visit()
    await connect(page)
    await send('application.rejected')
    await row(page, 'application.rejected', 'done').waitFor()
    await app.database.query
      .updateTable('outcomes')
      .set({ state: 'dead' })
      .where('id', 'in', eb =>
        eb.selectFrom('deliveries').select('id').where('type', '=', 'application.rejected'),
      )
      .execute()
    const replay = page.getByRole('button', { name: /^Replay/ })
    await replay.waitFor()
    await replay.focus()
    await send('activity.capacity_state_changed')
    await row(page, 'activity.capacity_state_changed', 'done').waitFor()
    await app.database.query
      .updateTable('outcomes')
      .set({ last_error: 'Error: another' })
      .where('state', '=', 'dead')
      .execute()
    await page.locator('#part-stuck').getByText('Error: another').waitFor()
    expect(await page.evaluate('document.activeElement.id')).toMatch(/^replay-\d+$/)
    await page.keyboard.press('Enter')
    await page.waitForURL(`${app.url}/`)
    await row(page, 'application.rejected', 'done').waitFor()
    await until(async () => (await replay.count()) === 0)
    await page.context().close()
  })

  test('another browser sees nothing of it', async () => {
    const [mine, theirs] = [await visit(), await visit()]
    await connect(mine)
    await row(mine, 'application.submitted', 'done').waitFor()
    const href = (await mine.locator('tr[data-state] a').first().getAttribute('href')) ?? ''
    await theirs.goto(app.url)
    await theirs.getByRole('heading', { name: 'Connect a Revento event' }).waitFor()
    for (const path of [href, '/disconnect?event_id=evt_test_published&organization_id=org_test_formal']) {
      expect((await theirs.goto(app.url + path))?.status()).toBe(401)
      expect(await theirs.content()).not.toContain('org_test_formal')
    }
    await mine.context().close()
    await theirs.context().close()
  })

  test('Disconnect asks, and Keep it changes nothing; a log-out in one tab ends the other', async () => {
    await handled()
    const page = await visit()
    await connect(page)
    await page.getByRole('link', { name: 'Disconnect…' }).click()
    await page.getByText('At Revento the permission stays.').waitFor()
    await page.getByRole('link', { name: 'Keep it' }).click()
    await page.getByText('Connected', { exact: true }).waitFor()
    await page.getByRole('link', { name: 'Disconnect…' }).click()
    await page.getByRole('button', { name: 'Disconnect' }).click()
    await page.getByText('Disconnected here').waitFor()
    const tab = await page.context().newPage()
    await tab.goto(app.url)
    await tab.getByRole('button', { name: 'Log out' }).click()
    await tab.getByRole('heading', { name: 'Connect a Revento event' }).waitFor()
    await page.getByRole('heading', { name: 'Connect a Revento event' }).waitFor()
    await page.context().close()
  })
})
