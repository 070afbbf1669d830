import { afterAll, describe, expect, test } from 'vitest'
import { accessibilityProblems } from '../helpers/accessibility.ts'
import { browserOrSkip } from '../helpers/browser.ts'
import { until } from '../helpers/wait.ts'
import { row, startOperated, stored, TOKEN } from '../operator/harness.ts'

const browser = await browserOrSkip()
afterAll(() => browser?.close())

const TYPE = 'application.approved'
const DEAD = 120

/** The night after a deploy: the handler throws, and what came since was given up. */
async function night() {
  let isBroken = true
  const handler = async () => {
    if (isBroken) throw new TypeError('cannot read email')
  }
  const pair = await startOperated({ handlers: { revento: { [TYPE]: handler } } })
  const dead = { state: 'dead', attempts: 8, type: TYPE, last_error: 'TypeError: cannot read email' } as const
  await stored(
    pair.app.database.query,
    Array.from({ length: DEAD }, (_, n) => row(n, dead)),
  )
  return { pair, mend: () => (isBroken = false) }
}

describe.skipIf(!browser)('a bad night', () => {
  test.each([true, false])(
    'is seen, understood and mended by clicks (JavaScript: %s)',
    async javaScriptEnabled => {
      const { pair, mend } = await night()
      const page = await (await browser?.newContext({ javaScriptEnabled }))?.newPage()
      if (!page) throw new Error('no page')
      const heading = () => page.textContent('h1')
      const again = () => page.reload().then(() => false)
      const isReadable = async (name: string) => {
        const looks = [
          { width: 360, colorScheme: 'dark' },
          { width: 1440, colorScheme: 'light' },
        ] as const
        for (const { width, colorScheme } of javaScriptEnabled ? looks : []) {
          await page.setViewportSize({ width, height: 900 })
          await page.emulateMedia({ colorScheme })
          const isWide = await page.evaluate('document.documentElement.scrollWidth > innerWidth')
          const found = { problems: await accessibilityProblems(page), isWide }
          expect([name, width, colorScheme, found]).toEqual([
            ...[name, width, colorScheme],
            { problems: [], isWide: false },
          ])
        }
      }
      await page.goto(`${pair.app.url}/operator`)
      await isReadable('sign in')
      await page.fill('#token', TOKEN)
      await page.click('button')
      expect(await heading()).toBe('Something is wrong with a handler')
      await isReadable('overview')
      await page.click('text=Look at one')
      expect(await page.textContent('main')).toContain('TypeError: cannot read email')
      await isReadable('story')
      mend()
      await page.click('text=All deliveries')
      await isReadable('list')
      await page.click('.filters >> text=given up')
      await page.click('text=Replay all')
      expect(await heading()).toBe(`Replay ${DEAD} deliveries?`)
      await isReadable('question')
      await page.click(`button:has-text("Replay ${DEAD}")`)
      const isOver = async () => (await page.textContent('main'))?.includes(`${DEAD} of ${DEAD}`)
      // With JavaScript the page turns by itself.
      await until(async () => (await isOver()) || (!javaScriptEnabled && again()))
      await isReadable('replays')
      await page.click('nav >> text=Overview')
      await until(async () => (await heading()) === 'All good' || again())
      expect(await page.textContent('#part-chart table')).toContain(String(DEAD))
      await isReadable('after')
    },
  )
})
