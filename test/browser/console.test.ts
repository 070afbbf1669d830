// part: sandbox
import { setTimeout as delay } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expectReadable } from '../helpers/accessibility.ts'
import { browserOrSkip } from '../helpers/browser.ts'
import { type Program, startProgram } from '../helpers/program.ts'
import { until } from '../helpers/wait.ts'

const browser = await browserOrSkip()

describe.skipIf(!browser)('the sandbox console in a browser', () => {
  let program: Program
  beforeAll(async () => {
    program = await startProgram()
  })
  afterAll(async () => {
    await program.stop()
    await browser?.close()
  })

  async function visit(options?: { javaScriptEnabled?: boolean }) {
    const page = await (await browser?.newContext(options))?.newPage()
    if (!page) throw new Error('no page')
    return page
  }
  /** In a tab of its own: the app's page reloads by itself, which would get in the way of the next step. */
  async function connect(page: Page): Promise<void> {
    const tab = await page.context().newPage()
    await tab.goto(`${program.url}/connect`)
    await tab.getByRole('button', { name: 'Authorize' }).click()
    await tab.waitForURL(`${program.url}/`)
    await tab.close()
  }
  /** What the app answers this browser when it needs a token. */
  const participants = async (page: Page) => {
    const url = `${program.url}/participants?event_id=evt_test_published`
    return (await page.context().request.get(url)).status()
  }
  const open = (page: Page, path: string) => page.goto(program.sandboxUrl + path)
  const message = (page: Page, text: string) => page.getByRole('status').filter({ hasText: text }).waitFor()
  const press = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click()
  /** Where it is live the page turns by itself; else it is loaded again, a few times a second. */
  const turns = (page: Page, isSo: () => Promise<boolean | undefined>, again: () => Promise<unknown>) =>
    until(async () => {
      if (await isSo()) return true
      await delay(150)
      if ((await page.getByText('Live', { exact: true }).count()) === 0) await again()
      return false
    })
  /** One webhook, made up, and its row in the log once it is over. */
  async function sendWebhook(page: Page, type: string) {
    await open(page, '/webhooks')
    await page.getByLabel('Type').first().selectOption(type)
    await press(page, 'Send: revento')
    await message(page, 'The webhook is on its way.')
    const id = new URL(page.url()).searchParams.get('what') ?? ''
    const row = page.locator(`[id="${id}"]`)
    await turns(
      page,
      async () => (await row.textContent())?.includes('delivered'),
      () => open(page, '/webhooks'),
    )
    return row
  }

  test('is free of accessibility problems and of sideways scrolling, at both widths, in light and dark', async () => {
    const page = await visit()
    await connect(page)
    const row = await sendWebhook(page, 'application.approved')
    const detail = await row.getByRole('link').getAttribute('href')
    await open(page, '/faults')
    await press(page, 'Start: Token answer gets lost')
    await open(page, '/')
    await press(page, '+ 1 hour: move the clock forward')
    const connecting = new URL(
      (await fetch(`${program.url}/connect`, { redirect: 'manual' })).headers.get('location') ?? '',
    )
    const paths = [
      '/',
      '/?done=revoke&count=1',
      '/people',
      '/faults',
      '/webhooks',
      '/webhooks/edit',
      `${detail}`,
      '/nowhere',
    ]
    paths.push(connecting.pathname + connecting.search, '/oauth/authorize')
    const shown = await visit()
    for (const path of paths) {
      await open(shown, path)
      for (const summary of await shown.locator('summary').all()) await summary.click()
      await expectReadable(shown, path)
    }
    await shown.context().close()
    await press(page, 'Clear all: end every bad day')
    await press(page, 'Set clock back: to the machine’s time')
    expect(await page.getByRole('region', { name: 'Right now' }).count()).toBe(0)
    await page.context().close()
  }, 60_000)

  test.each([true, false])(
    'three bad days are caused and survived by clicks alone (JavaScript: %s)',
    async javaScriptEnabled => {
      const [app, page] = [await visit({ javaScriptEnabled }), await visit({ javaScriptEnabled })]
      await connect(app)

      await open(page, '/')
      await press(page, '+ 1 hour: move the clock forward')
      await message(page, 'moved forward by 1 hour')
      expect(await participants(app)).toBe(200)

      await open(page, '/faults')
      await press(page, 'Start: API answers 500')
      await message(page, 'Started: API answers 500.')
      expect(await participants(app)).toBe(200)

      await open(page, '/faults')
      await press(page, 'Start: Webhook is signed with another secret')
      await sendWebhook(page, 'application.approved')
      // It struck this one, or one of those that follow a connection.
      const struck = page.locator('tr', { hasText: 'Webhook is signed with another secret' }).first()
      // Twice: an address that differs from the page's in nothing but its fragment would only be scrolled to.
      for (const _time of javaScriptEnabled ? [] : ['once', 'again']) {
        const loaded = page.waitForResponse(answer => new URL(answer.url()).pathname === '/webhooks')
        await page.getByRole('link', { name: 'Refresh' }).click()
        await loaded
      }
      await struck.getByRole('link').click()
      await page.getByText('Bad day: Webhook is signed with another secret.').waitFor()
      const second = page.getByRole('heading', { name: 'Attempt 2: 200' })
      const refresh = () => page.getByRole('link', { name: 'Refresh' }).click()
      await turns(page, async () => (await second.count()) === 1, refresh)
      await app.context().close()
      await page.context().close()
    },
  )

  test('a lost token answer ends nothing by itself: the app asks again, and hears that the token was used', async () => {
    const [app, page] = [await visit(), await visit()]
    await connect(app)
    await open(page, '/faults')
    await press(page, 'Start: Token answer gets lost')
    await open(page, '/')
    await press(page, 'Expire now: access tokens of evt_test_published')
    await message(page, 'expired')
    // Sent, and nothing came back: 502 until the next try is due, and then Revento's own word.
    expect(await participants(app)).toBe(502)
    await until(async () => (await participants(app)) === 409 || (await delay(200)), 30_000)
    await connect(app)
    expect(await participants(app)).toBe(200)
    await open(page, '/')
    await page.getByText('refresh token reused').waitFor({ state: 'attached' })
    await app.context().close()
    await page.context().close()
  })

  test('an edited payload reaches the app; the keyboard is enough', async () => {
    const page = await visit({ javaScriptEnabled: false })
    await open(page, '/webhooks')
    const edit = page.getByRole('button', { name: 'Edit payload first: revento' })
    await edit.focus()
    await page.keyboard.press('Enter')
    const body = page.getByLabel('Body, sent and signed byte for byte')
    await body.fill((await body.inputValue()).replace('"application.submitted"', '"application.unheard_of"'))
    await page.getByRole('button', { name: 'Send', exact: true }).focus()
    await page.keyboard.press('Enter')
    await message(page, 'The webhook is on its way.')
    await until(() => program.output.out.includes('application.unheard_of'))
    await page.context().close()
  })
})
