import type { Page } from 'playwright-core'
import { afterAll, describe, expect, test } from 'vitest'
import { expectReadable } from '../helpers/accessibility.ts'
import { browserOrSkip } from '../helpers/browser.ts'
import { insertDelivery, type NewRow } from '../helpers/deliveries.ts'
import { COMPLETE, FRESH_AT, mirrored, ranAs } from '../helpers/mirror.ts'
import { type Answer, json } from '../helpers/upstream.ts'
import { EVENT, type Pair, startPair } from '../oauth/harness.ts'

const browser = await browserOrSkip()
afterAll(() => browser?.close())

const HOSTILE = '<script>window.hit = 1</script><img src=x onerror="window.hit = 2">\u202etxt.exe'
const AT = Date.parse('2026-05-09T12:00:00.123Z')
const ORGANIZATION = 'org_test_formal'

/** What stands on the page with a mark that turns text round, and could turn what is beside it. */
const OUTSIDE_BDI = `(() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const found = []
  for (let node = walker.nextNode(); node; node = walker.nextNode())
    if (node.data.includes('\\u202e') && !node.parentElement.closest('bdi')) found.push(node.data)
  return found
})()`

/** A Revento that agrees to everything, and lists one person with a hostile name; `query` is what it sends back. */
const agreeing =
  (rows: object[], query: Record<string, string> = { code: 'good-code' }): Answer =>
  (request, response) => {
    if (request.path !== '/oauth/authorize') {
      const page = { title: HOSTILE, data: rows, next_cursor: 'next', has_more: true }
      return json(200, page)(request, response)
    }
    const back = new URL(request.query.get('redirect_uri') ?? '')
    back.search = new URLSearchParams({ ...query, state: request.query.get('state') ?? '' }).toString()
    response.writeHead(303, { location: back.href }).end()
  }

async function stage(env: Record<string, string> = {}) {
  const pair = await startPair({ env })
  const row = { id: 'ptp_1', name: HOSTILE, application_status: HOSTILE }
  pair.upstream.onApi = agreeing([row])
  const page = await (await browser?.newContext())?.newPage()
  if (!page) throw new Error('no page')
  return { pair, page }
}

const inbox = ({ app }: Pair, change: NewRow) =>
  insertDelivery(app.database.query, {
    ...{
      delivery_id: HOSTILE,
      envelope_id: HOSTILE,
      type: HOSTILE,
      event_id: EVENT,
      organization_id: ORGANIZATION,
    },
    ...{ received_at: AT, finished_at: AT + 1200, body: Buffer.from('{}'), ...change },
  })

describe.skipIf(!browser)('every state of the page', () => {
  test('is readable for everybody, at both widths, in light and dark', async () => {
    const { pair, page } = await stage({ REVENTO_WEBHOOK_SECRET_PREVIOUS: 'secret-before-the-last' })
    const { query } = pair.app.database
    const shows = async (name: string, path: string, text: string) => {
      await page.goto(pair.app.url + path)
      expect(await page.locator('body').innerText()).toContain(text)
      await expectReadable(page, name)
    }
    const becomes = (state: 'reconsent' | 'revoked' | 'suspended' | 'deleted', reason: string) =>
      query.updateTable('connections').set({ state, reason, asked_at: Date.now() }).execute()

    await shows('welcome', '/', 'Connect a Revento event')
    await page.goto(`${pair.app.url}/connect`)
    await shows('connected, nothing received', '/', 'None yet.')
    await inbox(pair, {})
    await inbox(pair, { state: 'duplicate', duplicate_of: 1, body: null })
    await inbox(pair, { state: 'dead', attempts: 8, last_error: HOSTILE })
    await inbox(pair, { state: 'pending', finished_at: null, last_error: HOSTILE, next_at: 4e12 })
    await query
      .insertInto('attempts')
      .values({
        inbox_id: 3,
        started_at: AT,
        ended_at: AT + 9,
        attempt: 8,
        outcome: 'dead',
        error: HOSTILE,
        calls: JSON.stringify([
          { at: AT, ms: 3, what: `GET /${HOSTILE}`, result: HOSTILE, request_id: crypto.randomUUID() },
        ]),
      })
      .execute()
    await mirrored(pair.app, [
      { participant_id: 'ptp_1', name: HOSTILE, application_status: HOSTILE },
      { participant_id: 'ptp_2', name: 'Ada Lovelace', application_status: 'revision_requested' },
      { participant_id: 'ptp_3', name: 'Gone', application_status: 'approved', gone_at: FRESH_AT },
    ])
    await ranAs(pair.app, { pages: 84, counted: 4150, waits_for: 'limits', waits_until: AT })
    await shows('the first run', '/', '4,150 people so far')
    await query.updateTable('sync_runs').set(COMPLETE).execute()
    await shows('complete', '/?q=a&status=gone', 'Complete as of')
    await query.updateTable('connections').set({ scope: 'event.read' }).execute()
    await shows('connected', '/', 'Not granted')
    await shows('a secret being changed', '/', 'Nothing has come with the new one yet')
    await shows('a dead delivery', '/deliveries/3', 'failed, and was given up')
    await shows('a failed delivery', '/deliveries/4', 'It runs again at')
    await shows(
      'disconnecting',
      `/disconnect?event_id=${EVENT}&organization_id=${ORGANIZATION}`,
      'permission stays',
    )
    await becomes('reconsent', 'refresh_interrupted')
    await inbox(pair, { state: 'parked', finished_at: null, last_error: 'ConnectionUnavailable' })
    await shows('a parked delivery', '/deliveries/5', 'It goes on by itself')
    await shows('awaiting consent', '/', 'answer was lost while the permission was being renewed')
    await becomes('revoked', 'token_revoked')
    await shows('revoked', '/', 'It was ended at Revento.')
    await becomes('suspended', 'integration_suspended')
    await shows('suspended', '/', 'has to settle it with Revento')
    await becomes('deleted', 'data_deletion_required')
    await shows('deleted', '/', 'Revento asked to delete')
    pair.app.database.probe = () => Promise.reject(new Error('no'))
    // The page is not told that all is well by a stream that has asked before.
    pair.runtime.advance(10_000)
    await shows('not found', '/deliveries/4711', 'There is nothing here.')
    await shows('storage trouble', '/', 'cannot store anything right now')
    await page.context().close()
  }, 90_000)

  test('what others wrote is text, and turns nothing around it', async () => {
    const { pair, page } = await stage()
    await page.goto(`${pair.app.url}/connect`)
    await inbox(pair, { state: 'dead', last_error: HOSTILE })
    const { query } = pair.app.database
    const of = { organization_id: HOSTILE }
    await query
      .updateTable('outcomes')
      .set({ last_error: HOSTILE, ...of })
      .execute()
    await query.updateTable('deliveries').set(of).execute()
    for (const table of ['connections', 'session_connections'] as const)
      await query.updateTable(table).set(of).execute()
    for (const path of [
      '/',
      '/deliveries/1',
      `/disconnect?${new URLSearchParams({ event_id: EVENT, ...of })}`,
    ]) {
      await page.goto(pair.app.url + path)
      await page.getByText('<script>window.hit = 1</script>').first().waitFor()
      expect(await page.evaluate('window.hit')).toBeUndefined()
      expect(await page.evaluate<string[]>(OUTSIDE_BDI)).toEqual([])
    }
    await page.context().close()
  })

  test('times are in the reader’s own way, and exact in UTC behind it', async () => {
    const { pair, page } = await stage()
    const protocol = await page.context().newCDPSession(page)
    await protocol.send('Emulation.setTimezoneOverride', { timezoneId: 'Asia/Tokyo' })
    await protocol.send('Emulation.setLocaleOverride', { locale: 'de-DE' })
    await page.goto(`${pair.app.url}/connect`)
    await inbox(pair, {})
    const time = page.locator('#part-deliveries time')
    await time.filter({ hasText: '09.05.2026, 21:00' }).waitFor()
    expect(await time.getAttribute('title')).toBe('2026-05-09T12:00:00.123Z')
    await inbox(pair, { received_at: Date.now() - 120_000 })
    await time.filter({ hasText: 'vor 2 Minuten' }).waitFor()
    await page.context().close()
  })
})

describe.skipIf(!browser)('what goes wrong on the way is told with the next step', () => {
  const opened = async (page: Page, url: string) => {
    const answer = await page.goto(url)
    const again = page.locator('a.button')
    return {
      status: answer?.status(),
      text: await page.locator('main').innerText(),
      next: (await again.count()) > 0 ? await again.getAttribute('href') : undefined,
    }
  }
  const connect = `/connect?event_id=evt_two`

  test('declined, used, expired, other browser, unreachable: each with its request number', async () => {
    const { pair, page } = await stage()
    const seen: [string, Awaited<ReturnType<typeof opened>>][] = []
    const see = async (name: string, url: string) => {
      seen.push([name, await opened(page, url)])
      await expectReadable(page, name)
    }
    pair.upstream.onApi = agreeing([], { error: 'access_denied' })
    await see('declined', pair.app.url + connect)
    const declined = page.url()
    await see('used', declined.replace('error=access_denied', 'code=x'))
    pair.upstream.onApi = agreeing([])
    pair.upstream.onToken = (_request, response) => void response.destroy()
    await see('unreachable', pair.app.url + connect)
    pair.upstream.onApi = (_request, response) => void json(200, {})(_request, response)
    await page.goto(pair.app.url + connect)
    const state = new URL(page.url()).searchParams.get('state') ?? ''
    pair.runtime.advance(601_000)
    await see('expired', `${pair.app.url}/callback?code=x&state=${state}`)
    await page.context().clearCookies()
    await see('other browser', `${pair.app.url}/callback?code=x&state=${state}`)
    expect(seen.map(([name, { status, next }]) => [name, status, next])).toEqual([
      ['declined', 400, connect],
      ['used', 400, '/connect'],
      ['unreachable', 502, connect],
      ['expired', 400, connect],
      ['other browser', 400, '/connect'],
    ])
    for (const [, { text }] of seen) expect(text).toMatch(/request [0-9a-f-]{36}$/)
    await page.context().close()
  })
})
