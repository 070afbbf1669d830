import type { BrowserContext } from 'playwright-core'
import type { Cluster } from './cluster.ts'

export interface Journey {
  /** What the browser complained of. */
  readonly complaints: readonly string[]
  /** Pages that were open at once, each with a stream of its own. */
  readonly pages: number
}

/**
 * What an organizer does, through the balancer at `origin`: connects, sees participants and what webhooks change while
 * nothing is reloaded, replays, disconnects, logs out. `wide` says when enough pages are open, four at most.
 */
export async function journey(
  context: BrowserContext,
  origin: string,
  { sandboxUrl, database }: Pick<Cluster, 'sandboxUrl' | 'database'>,
  wide: () => boolean,
): Promise<Journey> {
  const complaints: string[] = []
  const open = async () => {
    const page = await context.newPage()
    page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', error => complaints.push(error.message))
    return page
  }
  const page = await open()
  await page.goto(origin)
  await page.getByRole('link', { name: 'Connect evt_test_published' }).click()
  await page.getByRole('button', { name: 'Authorize' }).click()
  await page.waitForURL(`${origin}/`)
  await page.getByText('Connected', { exact: true }).waitFor()
  await page.locator('#part-participants tbody tr').nth(24).waitFor()
  await page.getByRole('link', { name: 'Next page' }).click()
  await page.getByRole('link', { name: 'First page' }).click()

  const pages = [page]
  while (!wide() && pages.length < 4) {
    const another = await open()
    await another.goto(origin)
    await another.getByText('Live', { exact: true }).waitFor()
    pages.push(another)
  }
  await fetch(`${sandboxUrl}/console/api/webhooks`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'application.rejected' }),
  })
  const row = 'tr[data-state=done]'
  for (const each of pages) await each.locator(row, { hasText: 'application.rejected' }).first().waitFor()

  await database.query(`update outcomes set state = 'dead'
    where id in (select id from deliveries where type = 'application.rejected')`)
  const replay = page.getByRole('button', { name: /^Replay/ })
  await replay.click()
  for (const each of pages) await each.locator(row, { hasText: 'application.rejected' }).first().waitFor()
  await page.getByRole('link', { name: 'Disconnect…' }).click()
  await page.getByRole('button', { name: 'Disconnect' }).click()
  for (const each of pages) await each.getByText('Disconnected here').waitFor()
  await page.getByRole('button', { name: 'Log out' }).click()
  for (const each of pages) await each.getByRole('heading', { name: 'Connect a Revento event' }).waitFor()
  return { complaints, pages: pages.length }
}
