import { readFileSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { inTurn } from './rounds.ts'

/** axe-core is read as text, because its types need the DOM library. */
const axe = readFileSync(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

/** Each page is examined at these widths, in light and in dark. */
const LOOKS = [
  { width: 360, dark: true },
  { width: 1440, dark: false },
  { width: 360, dark: false },
  { width: 1440, dark: true },
]

let pages = 0

interface Found {
  id: string
  help: string
  nodes: { target: string[]; failureSummary: string }[]
}

/**
 * Returns a line for each element of the page with which axe-core finds something wrong. All its rules run, its advice
 * ("best practices") included. A page in a context without JavaScript cannot be examined.
 */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  // A protocol call runs the script, because the page's own policy would refuse a script tag.
  if (await page.evaluate('!window.axe')) await page.evaluate(axe)
  // The page keeps what passed to itself: it is a hundred times as long, and nobody reads it.
  const violations = await page.evaluate<Found[]>(
    'axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations)',
  )
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} (${help}) at ${target.join(' ')}: ${failureSummary}`),
  )
}

/**
 * Fails where axe-core finds something, or where the page scrolls sideways. A page is examined in one look and the next
 * page in the next look, because all pages have one style; in CI each page is examined in all four.
 */
export async function expectReadable(page: Page, name: string): Promise<void> {
  for (const { width, dark } of inTurn(LOOKS, pages++)) {
    await page.setViewportSize({ width, height: 900 })
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' })
    expect([name, width, dark, await accessibilityProblems(page)]).toEqual([name, width, dark, []])
    expect([name, await page.evaluate('document.documentElement.scrollWidth')]).toEqual([name, width])
  }
}
