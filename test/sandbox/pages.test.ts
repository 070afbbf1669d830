import { describe, expect, test } from 'vitest'
import { FAULTS } from '../../src/sandbox/faults/fault-table.ts'
import { call, connect, EVENT, post, receiver, type Started, start, until } from './harness.ts'

const BROWSER = { accept: 'text/html', 'sec-fetch-site': 'same-origin' }
const PATHS = [
  '/',
  '/people',
  '/faults',
  '/webhooks',
  `/webhooks/edit?provider=revento&type=application.approved&event_id=${EVENT}`,
]

const page = ({ url }: Started, path: string) => call(`${url}${path}`, { headers: BROWSER })

/** Posts a form as a browser does, and follows no redirect. */
const submit = ({ url }: Started, path: string, fields: Record<string, string>) =>
  call(`${url}${path}`, {
    method: 'POST',
    headers: { ...BROWSER, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(fields).toString(),
  })

describe('every page', () => {
  test.each(PATHS)('%s has the strict policy, no script but its own and no inline style', async path => {
    const sandbox = await start()
    await connect(sandbox)
    const { status, text, headers } = await page(sandbox, path)
    expect(status).toBe(200)
    const isLive = text.includes('data-stream')
    const scripts = isLive ? "script-src 'self'; connect-src 'self'; " : ''
    expect(headers['content-security-policy']).toBe(
      `default-src 'none'; style-src 'self'; ${scripts}img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
    )
    expect(isLive).toBe(path === '/webhooks')
    expect(headers['cache-control']).toBe('no-store')
    expect(text).not.toMatch(/<script(?! src="\/page\.js" type="module"><)|<style| style=| on[a-z]+=/)
    expect(text).toContain('a pretend Revento')
  })

  test('a page says what is out of the ordinary, and nothing on an ordinary day', async () => {
    const sandbox = await start()
    expect((await page(sandbox, '/webhooks')).text).not.toContain('Right now')
    await post(sandbox, '/console/api/clock', { advance_s: 3600 })
    await post(sandbox, '/console/api/faults', { name: 'api_slow', count: 3 })
    for (const path of PATHS) {
      const { text } = await page(sandbox, path)
      expect(text).toContain('The clock is 1 hour ahead')
      expect(text).toContain('API is slow</a>: for 3 more requests')
    }
  })

  test('a page shows hostile text as text', async () => {
    const sandbox = await start()
    const body = '{"id":"<script>alert(1)</script>","type":"\u202e\\"><img src=x>"}'
    const { json } = await post(sandbox, '/console/api/webhooks', { type: 'activity.updated', body })
    const hostile = encodeURIComponent('"><script>alert(1)</script>')
    for (const path of [
      `/deliveries/${json['delivery_id']}`,
      '/webhooks',
      `/webhooks/edit?provider=${hostile}&type=${hostile}&event_id=${hostile}`,
      `/?done=${hostile}&count=1`,
      `/faults?done=fault-started&count=1&what=${hostile}`,
      `/faults?done=__proto__&count=1`,
    ]) {
      const { status, text } = await page(sandbox, path)
      expect(status).toBe(200)
      expect(text).not.toMatch(/<script(?! src="\/page\.js" type="module"><)|<img/)
    }
  })
})

describe('forms', () => {
  test('each form leads back to where it stands, with a message there', async () => {
    const sandbox = await start()
    await connect(sandbox)
    for (const [path, fields, back, message] of [
      ['/clock', { advance_s: '7776000' }, '/?done=clock-moved&count=7776000', 'forward by 90 days'],
      ['/clock/reset', {}, '/?done=clock-reset&count=0', 'back at the machine'],
      [
        '/faults',
        { name: 'api_500', amount: '3', unit: 'count' },
        '/faults?done=fault-started&count=0&what=api_500#api_500',
        'Started: API answers 500.',
      ],
      [
        '/faults',
        { name: 'webhook_burst', amount: '60', unit: 'seconds', size: '9' },
        '/faults?done=fault-started&count=0&what=webhook_burst#webhook_burst',
        'Started: Webhooks come in a burst.',
      ],
      ['/faults/clear', {}, '/faults?done=faults-cleared&count=2', '2 bad days ended.'],
      ['/suspend', { tell: 'on' }, '/?done=suspend&count=1', 'the integration was suspended'],
      ['/reset', {}, '/?done=reset&count=0', 'as it was when it was new'],
    ] as const) {
      const { status, headers } = await submit(sandbox, `/console${path}`, fields)
      expect([status, headers.location]).toEqual([303, back])
      const { text } = await page(sandbox, back)
      expect(/role="status"[^>]*><p>([^<]*)/.exec(text)?.[1]).toContain(message)
    }
  })

  test('a webhook is sent, edited and resent', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    const fields = { provider: 'revento', type: 'application.approved', event_id: EVENT }
    const sent = await submit(sandbox, '/console/webhooks', fields)
    const id = /what=([^#]+)#/.exec(String(sent.headers.location))?.[1]
    expect(sent.headers.location).toBe(`/webhooks?done=webhook-sent&count=1&what=${id}#${id}`)
    await until(() => hook.received.length === 1)
    expect(hook.received[0]?.headers['x-revento-delivery-id']).toBe(id)

    const { text } = await page(sandbox, PATHS.at(-1) ?? '')
    const [, prefilled = ''] = /<textarea[^>]*>\n([^<]*)<\/textarea>/.exec(text) ?? []
    const body = prefilled
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'")
      .replace('approved', 'approved ✓')
    await submit(sandbox, '/console/webhooks', { ...fields, body, count: '2' })
    await until(() => hook.received.length === 3)
    expect(hook.received.map(r => r.body)).toContain(body)

    await until(async () => (await page(sandbox, `/deliveries/${id}`)).text.includes('Resend'))
    const again = await submit(sandbox, `/console/deliveries/${id}/resend`, {})
    expect(again.headers.location).toBe(`/deliveries/${id}?done=webhook-resent&count=1`)
    await until(() => hook.received.length === 4)
    expect(hook.received[3]?.body).toBe(hook.received[0]?.body)
  })

  test('looking at a payload changes nothing', async () => {
    const sandbox = await start()
    const first = await page(sandbox, PATHS.at(-1) ?? '')
    const second = await page(sandbox, PATHS.at(-1) ?? '')
    const person = ({ text }: { text: string }) => /ptp_\d+/.exec(text)?.[0]
    expect(person(first)).toMatch(/^ptp_/)
    expect(person(second)).toBe(person(first))
  })

  test('a number that was left empty is the usual one', async () => {
    const sandbox = await start()
    const fields = { name: 'webhook_burst', amount: '2', unit: 'count', size: '' }
    expect((await submit(sandbox, '/console/faults', fields)).status).toBe(303)
    const { json } = await call(`${sandbox.url}/console/api/faults`)
    expect(json['data']).toContainEqual(
      expect.objectContaining({ name: 'webhook_burst', active: { left: 2, until: null, size: 25 } }),
    )
  })

  test('every fault has its form', async () => {
    const { text } = await page(await start(), '/faults')
    for (const { name } of FAULTS) expect(text).toContain(`<input type="hidden" name="name" value="${name}">`)
  })
})

describe('hostile requests', () => {
  const ROUTES = [
    '/clock',
    '/clock/reset',
    '/faults',
    '/faults/clear',
    '/webhooks',
    '/deliveries/x/resend',
    '/suspend',
  ]
  test.each(ROUTES)('%s takes nothing from another site', async path => {
    const sandbox = await start()
    await connect(sandbox)
    const body = { advance_s: 60, name: 'api_500', count: 1, type: 'activity.updated' }
    for (const prefix of ['/console', '/console/api']) {
      const answer = await post(sandbox, prefix + path, body, { 'sec-fetch-site': 'cross-site' })
      expect([answer.status, answer.json['error']]).toEqual([403, 'cross_origin'])
    }
    const { json } = await call(`${sandbox.url}/console/api/clock`)
    expect(json['offset_s']).toBe(0)
    expect((await call(`${sandbox.url}/console/api/deliveries`)).json['data']).toEqual([])
  })

  test('no shape of body makes it fail with 500 or die', async () => {
    const sandbox = await start()
    const values = [null, 1e308, -1, '', 'x'.repeat(5000), [], {}, [[]], true, '\u0000', '__proto__']
    const names = ['name', 'count', 'seconds', 'size', 'amount', 'unit', 'advance_s', 'type', 'body', 'data']
    const statuses = new Set<number>()
    for (const path of ROUTES)
      for (const value of values) {
        const body = Object.fromEntries([...names, 'event_id', 'provider', 'tell'].map(name => [name, value]))
        statuses.add((await post(sandbox, `/console/api${path}`, body)).status)
        statuses.add((await post(sandbox, `/console/api${path}`, value)).status)
        statuses.add((await submit(sandbox, `/console${path}`, { name: String(value) })).status)
      }
    for (const raw of ['{', '{"__proto__":{"name":"api_500"}}', '\ufffe', `[${'['.repeat(50_000)}`]) {
      const init = { method: 'POST' as const, headers: { 'content-type': 'application/json' }, body: raw }
      for (const path of ROUTES) statuses.add((await call(`${sandbox.url}/console/api${path}`, init)).status)
    }
    expect([...statuses].filter(status => status >= 500)).toEqual([])
    expect((await page(sandbox, '/')).status).toBe(200)
  })

  test('a repeated field and a body over the limit are refused', async () => {
    const sandbox = await start()
    const form = (body: string) =>
      call(`${sandbox.url}/console/faults`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body,
      })
    expect((await form('name=api_500&name=api_slow&amount=1&unit=count')).status).toBe(400)
    expect((await form(`name=${'x'.repeat(600_000)}`)).status).toBe(413)
  })
})

describe('failures', () => {
  test('a browser gets a page with the request id, anything else the JSON', async () => {
    const sandbox = await start()
    for (const path of ['/nowhere-canary', '/deliveries/canary']) {
      const { status, text, headers } = await page(sandbox, path)
      expect([status, headers['content-type']]).toEqual([404, 'text/html; charset=utf-8'])
      expect(text).toContain(String(headers['x-revento-request-id']))
      expect(text).not.toContain('canary')
      expect((await call(`${sandbox.url}${path}`)).json['error']).toBe('not_found')
    }
  })

  test('a form that cannot be taken says so on a page, and changes nothing', async () => {
    const sandbox = await start()
    const { status, text } = await submit(sandbox, '/console/faults', {
      name: 'api_500',
      amount: '',
      unit: 'count',
    })
    expect([status, text.includes('A bad day lasts for a count')]).toEqual([400, true])
    expect((await page(sandbox, '/')).text).not.toContain('Right now')
  })
})

test('refused deliveries say why on their page', async () => {
  const hook = await receiver(401, 404, 503, 302, 400)
  const sandbox = await start({ webhookUrl: hook.url })
  await post(sandbox, '/console/api/faults', { name: 'webhook_wrong_secret', count: 1 })
  const { json } = await post(sandbox, '/console/api/webhooks', { type: 'activity.updated' })
  for (const waitS of [1, 2, 4, 8, 16]) {
    await until(() => sandbox.runtime.sleeping === 1)
    sandbox.runtime.advance(waitS * 1000)
  }
  const path = `/deliveries/${json['delivery_id']}`
  const text = await until(async () => {
    const { text } = await page(sandbox, path)
    return text.includes('delivered') && text
  })
  for (const part of [
    'Attempt 1: 401',
    'Bad day: Webhook is signed with another secret.',
    'is this sender configured in your app?',
    'could not take it now',
    'A redirect is no acknowledgement',
    'Attempt 6: 200',
    'x-revento-signature: sha256=',
  ])
    expect(text).toContain(part)
})
