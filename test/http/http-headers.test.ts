import { describe, expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { until } from '../helpers/wait.ts'
import { BROWSER, begin, comeBack, connect, type Pair, sharedPair, startPair } from '../oauth/harness.ts'

const shared = sharedPair()
const CANARY = 'canary-in-the-request'

describe('headers of answers', () => {
  const page = {
    'content-security-policy':
      "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': expect.stringContaining('camera=()'),
    'cache-control': 'no-store',
  }

  test.for(['/', '/nowhere', '/%zz', '/callback', '/participants', '/connect?event_id='])(
    'the page at %s allows nothing of others',
    async path => {
      const pair = await shared()
      const reply = await createClient().get(pair.app.url + path, BROWSER)
      expect(reply.headers['content-type']).toBe('text/html; charset=utf-8')
      expect(reply.headers).toMatchObject(page)
    },
  )

  test('a connected page has the headers too, and loads nothing but its own files', async () => {
    const pair = await startPair()
    const { client } = await connect(pair)
    const reply = await client.get(`${pair.app.url}/`, BROWSER)
    expect(reply.headers).toMatchObject(page)
    expect(reply.text).not.toMatch(/<script(?![^>]*src="\/)|(src|href)="(?!\/)(?!http:\/\/localhost)/)
  })

  const paths = ['/', '/connect', '/callback', '/health', '/ready', '/style.css', '/participants', '/nowhere']
  const headersOf = async (pair: Pair) => {
    const all = await Promise.all(
      paths.flatMap(path =>
        [{}, BROWSER].map(accept =>
          createClient().get(pair.app.url + path, { origin: 'https://stranger.example', ...accept }),
        ),
      ),
    )
    return all.map(reply => reply.headers)
  }

  test('no Access-Control header anywhere, nosniff everywhere, no name of the software', async () => {
    for (const headers of await headersOf(await shared())) {
      expect(Object.keys(headers).filter(name => name.startsWith('access-control'))).toEqual([])
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers).not.toHaveProperty('x-powered-by')
      expect(headers).not.toHaveProperty('server')
    }
  })

  test('HSTS only when the redirect URI is https', async () => {
    for (const headers of await headersOf(await shared()))
      expect(headers).not.toHaveProperty('strict-transport-security')
    const https = await startPair({ env: { REVENTO_REDIRECT_URI: 'https://app.example/callback' } })
    const { headers } = await createClient().get(`${https.app.url}/`, BROWSER)
    expect(headers['strict-transport-security']).toBe('max-age=31536000')
  })
})

test('the log has one line a request, with its path and never its query', async () => {
  const pair = await startPair()
  const { client, state } = await begin(pair)
  await comeBack(pair, client, { code: CANARY, state })
  for (const path of ['/', '/nowhere', '/participants', '/connect', '/callback', '/%zz'])
    await client.get(`${pair.app.url}${path}?q=${CANARY}`, { referer: CANARY, 'user-agent': CANARY })
  const expected = [
    '/connect',
    '/callback',
    '/',
    '/nowhere',
    '/participants',
    '/connect',
    '/callback',
    '/%zz',
  ]
  const lines = () => pair.app.log.filter(line => line['msg'] === 'request').map(line => line['path'])
  await until(() => lines().length >= expected.length)
  expect(lines()).toEqual(expected)
  const text = JSON.stringify(pair.app.log)
  expect(text).not.toContain(CANARY)
  expect(text).not.toContain(state)
})
