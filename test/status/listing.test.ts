import { describe, expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { COMPLETE, FRESH_AT, mirrored, ranAs } from '../helpers/mirror.ts'
import { openStream } from '../helpers/stream.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { BROWSER, connect, EVENT, type Pair, sharedPair, startPair } from '../oauth/harness.ts'

const shared = sharedPair()
const KEY = { event_id: EVENT, organization_id: 'org_test_formal' }

/** The words of the page's list, without marks. */
async function stage(pair?: Pair) {
  const stood = pair ?? (await startPair())
  const { client } = await connect(stood)
  const page = async (query = '') => {
    const { text, status } = await client.get(`${stood.app.url}/${query}`, BROWSER)
    expect(status).toBe(200)
    const list = /<div id="part-participants">(.*?)<\/section>/s.exec(text)?.[1] ?? ''
    const names = [...list.matchAll(/<tr><td><bdi>([^<]*)/g)].map(([, name]) => name)
    const links = [...list.matchAll(/<a href="\/(\?[^"]*)" id="([^"]*)"/g)]
    const hrefs = Object.fromEntries(
      links.map(([, href = '', id = '']) => [id, href.replaceAll('&amp;', '&')]),
    )
    return { text, names, hrefs, words: list.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ') }
  }
  return { ...stood, client, page }
}

const PEOPLE = [
  { participant_id: 'ptp_1', name: 'Tomáš Dvořák', application_status: 'approved' },
  { participant_id: 'ptp_2', name: 'Łukasz Wójcik', application_status: 'pending' },
  { participant_id: 'ptp_3', name: 'Дмитрий Соколов', application_status: 'revision_requested' },
  { participant_id: 'ptp_4', name: '100% <b>_Bold_</b>', application_status: 'approved' },
  { participant_id: 'ptp_5', application_status: 'pending' },
  { participant_id: 'ptp_6', name: 'José Gone', application_status: 'approved', gone_at: FRESH_AT },
]

describe('the list', () => {
  test('the list has everybody once over all of its pages, and the way back', async () => {
    const { app, page } = await stage()
    const people = Array.from({ length: 60 }, (_, n) => ({
      participant_id: `ptp_${n}`,
      name: `Same ${n % 7}`,
    }))
    await mirrored(app, people)
    const seen: (string | undefined)[] = []
    let shown = await page()
    for (let n = 1; ; n++) {
      seen.push(...shown.names)
      expect('first-page' in shown.hrefs).toBe(n > 1)
      if (!shown.hrefs['next-page']) break
      shown = await page(shown.hrefs['next-page'])
    }
    expect(seen).toEqual(people.map(({ name }) => name).toSorted())
    expect((await page(shown.hrefs['first-page'])).names).toEqual(seen.slice(0, 25))
  })

  test.for<[string, string[]]>([
    ['dvorak', ['Tomáš Dvořák']],
    ['DVOŘÁK', ['Tomáš Dvořák']],
    ['łukasz', ['Łukasz Wójcik']],
    ['СОКОЛОВ', ['Дмитрий Соколов']],
    ['100%', ['100% &lt;b&gt;_Bold_&lt;/b&gt;']],
    ['%', ['100% &lt;b&gt;_Bold_&lt;/b&gt;']],
    ['b>_', ['100% &lt;b&gt;_Bold_&lt;/b&gt;']],
    ['ptp_5', ['ptp_5']],
    ['nobody', []],
    ['gone', []],
  ])('a search for "%s" finds %j', async ([search, names]) => {
    const pair = await shared()
    await pair.app.database.query.deleteFrom('participants').execute()
    const { app, page } = await stage(pair)
    await mirrored(app, PEOPLE)
    const shown = await page(`?q=${encodeURIComponent(search)}`)
    expect(shown.names).toEqual(names)
    if (names.length === 0) expect(shown.words).toContain(`Nobody’s name has “${search}” in it.`)
  })

  test('the list has a filter with a count for each status, and one for who is gone', async () => {
    const { app, page } = await stage()
    await mirrored(app, PEOPLE)
    const { words, hrefs } = await page()
    expect(words).toContain('All 5 Approved 2 Pending 2 Revision requested 1 Gone 1')
    const under = async (id: string) => (await page(hrefs[`filter-${id}`])).names
    expect(await under('pending')).toEqual(['ptp_5', 'Łukasz Wójcik'])
    expect(await under('gone')).toEqual(['José Gone'])
    expect((await page('?status=approved&q=tom')).names).toEqual(['Tomáš Dvořák'])
    expect((await page('?status=unheard_of')).words).toContain('Nobody is in this group.')
  })

  test('the list is of the connection alone, whatever the address asks for', async () => {
    const pair = await startPair()
    const { app, page } = await stage(pair)
    await mirrored(app, [
      { participant_id: 'ptp_other', name: 'Of another organization', organization_id: 'org_two' },
      { participant_id: 'ptp_sand', name: 'Of the sandbox', platform: 'sandbox' },
      { participant_id: 'ptp_mine', name: 'Mine' },
    ])
    for (const query of ['', '?q=o', '?after=ptp_other', '?status=gone', '?event_id=evt_two'])
      for (const name of (await page(query)).names) expect(name).toBe('Mine')
    pair.upstream.onToken = json(200, tokens({ event_id: 'evt_two', scope: 'event.read' }))
    const { client } = await connect(pair, createClient(), '?event_id=evt_two')
    await mirrored(app, [{ participant_id: 'ptp_x', name: 'Ungranted Person', event_id: 'evt_two' }])
    const { text } = await client.get(`${app.url}/`, BROWSER)
    expect(text).not.toContain('Ungranted Person')
    expect(text).toContain('Connect again to allow it')
  })
})

describe('how fresh it is', () => {
  test('the page says how fresh the list is before any run, after one, and after one that failed', async () => {
    const { app, page } = await stage()
    expect((await page()).words).toContain('Not compared with Revento’s list yet')
    await ranAs(app, COMPLETE)
    expect((await page()).words).toContain('Complete as of 2026-11-30 03:02 UTC .')
    await ranAs(app, { outcome: 'failed', problem: 'upstream_timeout', finished_at: Date.parse(FRESH_AT) })
    expect((await page()).words).toMatch(/Complete as of .* failed: Revento did not answer in time/)
    await ranAs(app, { outcome: 'failed', problem: '<row_without_id>', finished_at: Date.parse(FRESH_AT) })
    expect((await page()).words).toContain('failed: &lt;row without id&gt; .')
  })

  test('while the first run reads, the page says how many, which page, and what it waits for', async () => {
    const { app, page } = await stage()
    await ranAs(app, { pages: 84, counted: 4150 })
    const { words, text } = await page()
    expect(words).toContain('4,150 people so far , page 84: the participants are read for the first time.')
    expect(words).toContain('a third is kept free')
    expect(text).toContain('<progress')
    expect(text).not.toContain('id="compare"')
    const until = Date.parse('2026-11-30T03:03:00Z')
    await app.database.query
      .updateTable('sync_runs')
      .set({ waits_for: 'limits', waits_until: until })
      .execute()
    expect((await page()).words).toContain('It waits for Revento’s limit, until 2026-11-30 03:03:00 UTC .')
  })

  test('while a later run reads, the list stays complete as of the one before', async () => {
    const { app, page } = await stage()
    await mirrored(app, PEOPLE)
    await ranAs(app, COMPLETE)
    await ranAs(app, { pages: 3, counted: 1 })
    const { words, names } = await page()
    expect(words).toMatch(
      /Complete as of .*It is being compared with Revento’s list: 1 person so far, page 3\./,
    )
    expect(names).toHaveLength(5)
  })

  test('the button begins a run, whose people come to the open page by themselves', async () => {
    const { app, upstream, client, page } = await stage()
    const { text } = await page()
    const [, stream = ''] = /data-stream="([^"]+)"/.exec(text) ?? []
    const events = await openStream(client, app.url + stream.replaceAll('&amp;', '&'))
    const row = { id: 'ptp_1', name: 'Ada Lovelace', application_status: 'approved' }
    upstream.onApi = json(200, { data: [row], next_cursor: null, has_more: false })
    const form_token = /name="form_token" value="([^"]+)"/.exec(text)?.[1] ?? ''
    const body = new URLSearchParams({ ...KEY, form_token }).toString()
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      'sec-fetch-site': 'same-origin',
      ...BROWSER,
    }
    expect((await client.post(`${app.url}/sync`, body, headers)).status).toBe(303)
    const { data } = await events.event('parts', part => part.includes('Ada Lovelace'))
    expect(Object.keys(JSON.parse(data))).toContain('participants')
    const done = await until(async () => {
      const shown = await page()
      return shown.words.includes('Complete as of') && shown
    })
    expect(done.names).toEqual(['Ada Lovelace'])
  })

  test('an open page with a search and a filter is kept as it was asked for', async () => {
    const { app, client, page } = await stage()
    await mirrored(app, PEOPLE)
    const { text } = await page('?q=tom&status=approved')
    const [, stream = ''] = /data-stream="([^"]+)"/.exec(text) ?? []
    const events = await openStream(client, app.url + stream.replaceAll('&amp;', '&'))
    await mirrored(app, [
      { participant_id: 'ptp_7', name: 'Tom Approved', application_status: 'approved' },
      { participant_id: 'ptp_8', name: 'Tom Pending', application_status: 'pending' },
    ])
    const { data } = await events.event('parts', part => part.includes('Tom Approved'))
    expect(data).toContain('Tomáš Dvořák')
    expect(data).not.toContain('Tom Pending')
  })
})
