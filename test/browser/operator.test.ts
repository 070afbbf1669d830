import { setTimeout as delay } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { afterAll, describe, expect, test } from 'vitest'
import { expectReadable } from '../helpers/accessibility.ts'
import { browserOrSkip } from '../helpers/browser.ts'
import { createClient } from '../helpers/client.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { startOperated, TOKEN } from '../operator/harness.ts'

const browser = await browserOrSkip()
afterAll(() => browser?.close())

const TYPE = 'application.approved'
/** NIGHT=300 for a night as it may be. */
const MANY = Number(process.env['NIGHT'] ?? 12)

/** An app whose handler breaks and is mended, as by two deploys. */
async function stage() {
  let isBroken = false
  const handler = async () => {
    if (isBroken) throw new TypeError('cannot read email')
  }
  const pair = await startOperated({ handlers: { revento: { [TYPE]: handler } } })
  const { query } = pair.app.database
  const open = () =>
    query
      .selectFrom('inbox')
      .select(['state', 'next_at'])
      .where('state', 'in', ['pending', 'running'])
      .execute()
  return {
    ...pair,
    mend: () => (isBroken = false),
    /** So many come, and fail eight times each; the hours between their tries pass at once. */
    async goesWrong() {
      isBroken = true
      for (let n = 0; n < MANY; n++) {
        const { body, headers } = signedDelivery({ event: { type: TYPE } })
        expect((await createClient().post(`${pair.app.url}/webhooks/revento`, body, headers)).status).toBe(
          200,
        )
      }
      await until(async () => {
        const waiting = await open()
        const waits = waiting.map(({ next_at }) => Number(next_at) - pair.runtime.now())
        // All of them fail within the same minute.
        if (waiting.length > 0 && Math.min(...waits) > 0 && waiting.every(row => row.state === 'pending'))
          pair.runtime.pass(Math.max(...waits))
        return waiting.length === 0
      })
    },
  }
}

/** What the table behind the chart says in all: handled, failed. */
async function charted(page: Page): Promise<[number, number]> {
  const cells = await page.locator('#part-chart table').first().locator('td').allTextContents()
  const column = (of: number) =>
    cells.filter((_, n) => n % 5 === of).reduce((sum, figure) => sum + Number(figure), 0)
  return [column(1), column(2)]
}

describe.skipIf(!browser)('a bad night', () => {
  test.each([true, false])(
    'is seen, understood and mended by clicks (JavaScript: %s)',
    async javaScriptEnabled => {
      const { app, runtime, goesWrong, mend } = await stage()
      const page = await (await browser?.newContext({ javaScriptEnabled }))?.newPage()
      if (!page) throw new Error('no page')
      /** With JavaScript the page turns by itself, once a second; that the store works is asked every ten. */
      const turns = (to: () => Promise<boolean | undefined>) =>
        until(async () => {
          if (await to()) return true
          runtime.pass(1_000)
          await (javaScriptEnabled ? delay(50) : page.reload())
          return false
        })
      const says = (heading: string) => turns(async () => (await page.textContent('h1')) === heading)
      /** Without JavaScript it cannot be examined; the pages are the same. */
      const isReadable = async (name: string) => javaScriptEnabled && expectReadable(page, name)

      await page.goto(`${app.url}/operator`)
      await isReadable('sign in')
      await page.fill('#token', TOKEN)
      await page.click('button')
      await says('All good')
      await goesWrong()
      await says('Something is wrong with a handler')
      await turns(async () => (await charted(page))[1] >= MANY)
      const [none, failed] = await charted(page)
      expect(none).toBe(0)
      await isReadable('overview')

      await page.click('text=Look at one')
      const story = (await page.textContent('main')) ?? ''
      expect(story).toContain('Attempt 8')
      expect(story).toMatch(/TypeError: cannot read email\s*Stack\s*at .*operator\.test\.ts/)
      await isReadable('story')
      mend()
      await page.click('text=All deliveries')
      await page.click('.filters >> text=given up')
      await isReadable('list')
      await page.click('text=Replay all')
      expect(await page.textContent('h1')).toBe(`Replay ${MANY} deliveries?`)
      await isReadable('question')
      await page.click(`button:has-text("Replay ${MANY}")`)
      await turns(async () => (await page.textContent('main'))?.includes(`${MANY} of ${MANY}`))
      await isReadable('replays')
      await page.click('nav >> text=Overview')
      await says('All good')
      await turns(async () => (await charted(page))[0] === MANY)
      expect(await charted(page)).toEqual([MANY, failed])
      await isReadable('after')
      await page.context().close()
    },
  )
})
