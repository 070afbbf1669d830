// part: sandbox
import type { Page } from 'playwright-core'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { accessibilityProblems } from '../helpers/accessibility.ts'
import { browserOrSkip } from '../helpers/browser.ts'
import { type Program, startProgram } from '../helpers/program.ts'
import { until } from '../helpers/wait.ts'

const browser = await browserOrSkip()

describe.skipIf(!browser)('in a browser', () => {
  let program: Program
  beforeAll(async () => {
    program = await startProgram({ SYNC_EVERY_HOURS: '24' })
  })
  afterAll(async () => {
    await program.stop()
    await browser?.close()
  })

  const sandbox = async (control: string) => {
    const answer = await request(`${program.sandboxUrl}/console/api/${control}`, { method: 'POST' })
    return (await answer.body.json()) as { changed: number }
  }
  const refreshes = async () => {
    const answer = await request(`${program.sandboxUrl}/console/api/token-requests`)
    const { data } = (await answer.body.json()) as { data: { grant_type: string; outcome: string }[] }
    return data.filter(r => r.grant_type === 'refresh_token')
  }

  async function visit(javaScriptEnabled = true): Promise<Page> {
    const context = await browser?.newContext({ javaScriptEnabled })
    const page = await context?.newPage()
    if (!page) throw new Error('no page')
    return page
  }
  async function connect(page: Page): Promise<void> {
    await page.goto(program.url)
    await page.getByRole('link', { name: 'Connect evt_test_published' }).click()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.waitForURL(`${program.url}/`)
  }

  test('two clicks connect an event, list its participants and show a webhook handled', async () => {
    const page = await visit()
    const complaints: string[] = []
    page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
    await connect(page)
    await page.getByText('Connected', { exact: true }).waitFor()
    // Nobody reloads.
    await page.locator('#part-participants').getByText('Complete as of').waitFor()
    await page.locator('#part-participants tbody tr').nth(24).waitFor()
    await page
      .locator('tr[data-state=done]', { hasText: 'application.approved' })
      .waitFor({ timeout: 15_000 })
    expect(complaints).toEqual([])
    await page.context().close()
  })

  test('the same without JavaScript', async () => {
    const page = await visit(false)
    await connect(page)
    await until(async () => {
      await page.getByRole('link', { name: 'Refresh the page' }).click()
      return (await page.locator('tr[data-state=done]').count()) > 0
    }, 15_000)
    expect(await page.getByRole('link', { name: 'Next page' }).count()).toBe(1)
    await page.getByRole('link', { name: 'Next page' }).click()
    await page.getByRole('link', { name: 'First page' }).waitFor()
    await page.context().close()
  })

  test('a mistyped event id is told of, and corrected in the field; the form gets past the page’s own policy', async () => {
    const page = await visit()
    await page.goto(program.url)
    await page.getByLabel('Another event id').fill(' evt_mistyped ')
    await page.keyboard.press('Enter')
    await page.getByText('Check the event id').waitFor()
    expect(await accessibilityProblems(page)).toEqual([])
    const field = page.getByLabel('Event id')
    expect(await field.inputValue()).toBe('evt_mistyped')
    await field.fill('evt_test_published')
    await page.getByRole('button', { name: 'Connect', exact: true }).click()
    await page.getByRole('button', { name: 'Authorize' }).dblclick()
    await page.waitForURL(url => url.origin === program.url)
    await page.goto(program.url)
    await page.getByText('Connected', { exact: true }).waitFor()
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 900 })
      await page.getByText('Connect another event').click()
      expect(await accessibilityProblems(page)).toEqual([])
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
    }
    await page.context().close()
  })

  test('declining says so, and leaves nothing', async () => {
    const page = await visit()
    await page.goto(program.url)
    await page.getByRole('link', { name: 'Connect evt_test_published' }).click()
    await page.getByRole('button', { name: 'Decline' }).click()
    await page.getByRole('heading', { name: 'Declined' }).waitFor()
    await page.getByRole('link', { name: 'Back to the start page' }).click()
    await page.getByRole('heading', { name: 'Connect a Revento event' }).waitFor()
    await page.context().close()
  })

  test('an expired token is refreshed underneath, once', async () => {
    const page = await visit()
    await connect(page)
    const before = (await refreshes()).length
    expect(await sandbox('expire-access-tokens')).toEqual({ changed: 1 })
    await page.goto(program.url)
    await page.getByRole('button', { name: 'Compare now' }).click()
    await until(async () => (await refreshes()).length === before + 1)
    await page.locator('#part-participants').getByText('Complete as of').waitFor()
    expect((await refreshes()).length).toBe(before + 1)
    await page.context().close()
  })

  test('a refresh token that is rejected shows Reconnect, and reconnecting heals it', async () => {
    const page = await visit()
    await connect(page)
    await sandbox('revoke-refresh-tokens')
    await sandbox('expire-access-tokens')
    await page.goto(program.url)
    await page.getByRole('button', { name: 'Compare now' }).click()
    await page.getByText('Waiting for you: Revento asks to connect this event again').waitFor()
    await page.getByText('Revento no longer accepts the permission that was given.').waitFor()
    await page
      .getByRole('link', { name: /^Reconnect/ })
      .first()
      .click()
    await page.getByRole('button', { name: 'Authorize' }).click()
    await page.getByText('Connected', { exact: true }).waitFor()
    await page.context().close()
  })

  test('another browser sees nothing of it', async () => {
    const mine = await visit()
    await connect(mine)
    const theirs = await visit()
    await theirs.goto(program.url)
    await theirs.getByRole('heading', { name: 'Connect a Revento event' }).waitFor()
    const answer = await theirs.goto(`${program.url}/deliveries`)
    expect(answer?.status()).toBe(401)
    await mine.context().close()
    await theirs.context().close()
  })
})
