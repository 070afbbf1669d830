import { expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { BROWSER, type Pair, sharedPair, startPair } from '../oauth/harness.ts'

const shared = sharedPair()
const numeric = ({ app }: Pair) => app.url.replace('localhost', '127.0.0.1')
const production = {
  NODE_ENV: 'production',
  ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
  REVENTO_REDIRECT_URI: 'https://localhost/callback',
  REVENTO_AUTH_BASE: 'https://auth.example',
  REVENTO_API_BASE: 'https://api.example/api/v1',
}

test.for(['/connect?event_id=evt_1', '/', '/?event=evt_1'])(
  'sends a visit of 127.0.0.1%s to localhost',
  async path => {
    const pair = await shared()
    const reply = await createClient().get(numeric(pair) + path)
    expect(reply.status).toBe(302)
    expect(reply.headers['location']).toBe(pair.app.url + path)
    expect(reply.headers['set-cookie']).toBeUndefined()
    expect(await pair.app.database.query.selectFrom('flows').selectAll().execute()).toEqual([])
  },
)

test('a visit of the origin itself stays there', async () => {
  const pair = await shared()
  expect((await createClient().get(`${pair.app.url}/`)).status).toBe(200)
})

test('in production no visit is sent to another host', async () => {
  const pair = await startPair({ env: production })
  expect((await createClient().get(`${numeric(pair)}/`)).status).toBe(200)
  const reply = await createClient().get(`${numeric(pair)}/connect`)
  expect(reply.headers['location']).toMatch(/^https:\/\/auth\.example\/oauth\/authorize\?/)
})

test('where the origin is not a loopback no visit is sent to another host', async () => {
  const pair = await startPair({ env: { REVENTO_REDIRECT_URI: 'https://app.example/callback' } })
  expect((await createClient().get(`${numeric(pair)}/`)).status).toBe(200)
})

test.for(['stranger.example', 'localhost.stranger.example', '127.0.0.1.stranger.example', ''])(
  'a visit under the host "%s" is not sent on: only loopback names are',
  async host => {
    const pair = await shared()
    expect((await createClient().get(`${pair.app.url}/`, { host })).status).toBe(200)
  },
)

test.for([
  { host: 'stranger.example' },
  { host: 'localhost.stranger.example' },
  { host: '127.0.0.1.stranger.example' },
  { 'x-forwarded-host': 'stranger.example', 'x-forwarded-proto': 'https' },
  { forwarded: 'host=stranger.example;proto=https' },
] as Record<string, string>[])('a stranger in the headers comes out nowhere: %o', async headers => {
  const pair = await shared()
  const paths = ['/', '/connect', '/callback?error=access_denied', '/participants', '/health', '/nowhere']
  for (const path of paths)
    for (const accept of [{}, BROWSER]) {
      const reply = await createClient().get(pair.app.url + path, { ...headers, ...accept })
      expect(reply.status).toBeLessThan(500)
      expect(JSON.stringify(reply.headers) + reply.text).not.toContain('stranger')
    }
})
