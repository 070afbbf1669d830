import { readFileSync } from 'node:fs'
import type { Page } from 'playwright-core'
import { expect } from 'vitest'
import { inTurn } from './rounds.ts'

/** As text: its types want the DOM library. */
const axe = readFileSync(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

/** The widths in light and dark that pages are looked at with. */
const LOOKS = [
  { width: 360, dark: true },
  { width: 1440, dark: false },
  { width: 360, dark: false },
  { width: 1440, dark: true },
]

let pages = 0

interface Found {
  violations: { id: string; help: string; nodes: { target: string[]; failureSummary: string }[] }[]
}

/**
 * What axe-core finds wrong on the page as it stands: a line for each element, empty when there is nothing. Everything
 * it has runs, its advice ("best practices") included. A context without JavaScript cannot be examined.
 */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  // As a protocol call: the page's own policy would refuse a script tag.
  await page.evaluate(axe)
  const { violations } = await page.evaluate<Found>('axe.run(document, { resultTypes: ["violations"] })')
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} (${help}) at ${target.join(' ')}: ${failureSummary}`),
  )
}

/**
 * Nothing that axe finds, and no scrolling sideways: in one look, and in another one on the next page, whose style is the
 * same; in all four in CI.
 */
export async function expectReadable(page: Page, name: string): Promise<void> {
  for (const { width, dark } of inTurn(LOOKS, pages++)) {
    await page.setViewportSize({ width, height: 900 })
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' })
    expect([name, width, dark, await accessibilityProblems(page)]).toEqual([name, width, dark, []])
    expect([name, await page.evaluate('document.documentElement.scrollWidth')]).toEqual([name, width])
  }
}
