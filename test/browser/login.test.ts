// part: sandbox
import { afterAll, describe, expect, test } from 'vitest'
import { accessibilityProblems } from '../helpers/accessibility.ts'
import { browserOrSkip } from '../helpers/browser.ts'
import { startWorld } from '../oauth/login-harness.ts'

const browser = await browserOrSkip()

describe.skipIf(!browser)('in a browser', () => {
  afterAll(() => browser?.close())
  const visit = async () => (await (await browser?.newContext())?.newPage()) ?? expect.fail('no page')

  test('a participant signs in, sees name and attendance, leaves, and is revoked; the organizer sees nothing of it', async () => {
    const { app, control } = await startWorld()
    const organizer = await visit()
    await organizer.goto(app.url)
    await organizer.getByRole('link', { name: 'Connect evt_test_published' }).click()
    await organizer.getByRole('button', { name: 'Authorize' }).click()
    await organizer.getByRole('button', { name: 'Log out' }).waitFor()

    const page = await visit()
    const complaints: string[] = []
    page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
    const signIn = async () => {
      await page.goto(`${app.url}/me`)
      await page.getByRole('link', { name: 'Sign in with Revento' }).click()
      await page.getByLabel('You are').selectOption('usr_002')
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.waitForURL(`${app.url}/me`)
    }
    await page.goto(`${app.url}/me`)
    await page.getByRole('link', { name: 'Sign in with Revento' }).click()
    expect(await accessibilityProblems(page)).toEqual([])
    await signIn()
    const name = await page.getByRole('heading', { level: 1 }).innerText()
    expect(name).toMatch(/^Hello, \S/)
    await page.getByText('Your application to').waitFor()
    expect(await accessibilityProblems(page)).toEqual([])
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByRole('link', { name: 'Sign in with Revento' }).waitFor()

    await signIn()
    await control('revoke', { user_id: 'usr_002' })
    expect((await page.reload())?.status()).toBe(401)
    await page.getByText('Revento asks you to sign in again').first().waitFor()
    await signIn()
    await page.getByRole('button', { name: 'Forget me here' }).click()
    await page.getByRole('link', { name: 'Sign in with Revento' }).waitFor()
    // The 401 of the revoked page is the one complaint.
    expect(complaints.filter(text => !text.includes('401'))).toEqual([])

    await organizer.reload()
    await organizer.getByRole('button', { name: 'Log out' }).waitFor()
    expect(await organizer.getByText(/usr_002|sign/i).count()).toBe(0)
  })
})
