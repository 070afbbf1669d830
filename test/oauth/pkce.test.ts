import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import { createTokenEndpoint } from '../../src/revento/token-endpoint.ts'
import { begin, comeBack, startPair } from './harness.ts'

const vector = JSON.parse(readFileSync(new URL('../vectors/signatures.json', import.meta.url), 'utf8'))
  .pkce as Record<'code_verifier' | 'code_challenge', string>

test('the challenge of RFC 7636 appendix B belongs to its verifier', async () => {
  const dispatcher = new Agent()
  onTestFinished(() => dispatcher.close())
  const endpoint = createTokenEndpoint(
    {
      authBase: 'https://auth.example',
      clientId: 'c',
      clientSecret: 's',
      redirectUri: 'https://app.example/callback',
      scopes: 'event.read',
    },
    dispatcher,
    systemRuntime,
  )
  const flow = { state: 'any', codeVerifier: vector.code_verifier, eventId: 'evt_1' }
  const url = new URL(await endpoint.authorizationUrl(flow))
  expect(url.searchParams.get('code_challenge')).toBe(vector.code_challenge)
  expect(url.searchParams.get('code_challenge_method')).toBe('S256')
})

test('the token endpoint gets the verifier of the challenge that /connect sent', async () => {
  const pair = await startPair()
  const { client, reply, state } = await begin(pair)
  await comeBack(pair, client, { code: 'good-code', state })
  const [sent] = pair.upstream.tokenRequests()
  const verifier = sent?.form.get('code_verifier') ?? ''
  expect(verifier).toMatch(/^[A-Za-z0-9._~-]{43,128}$/)
  const challenge = new URL(String(reply.headers['location'])).searchParams.get('code_challenge')
  expect(createHash('sha256').update(verifier, 'ascii').digest('base64url')).toBe(challenge)
})

test('every flow has a state, a verifier and a cookie of its own', async () => {
  const pair = await startPair()
  const seen = new Set<string>()
  for (let n = 0; n < 5; n++) {
    const { client, reply, state } = await begin(pair)
    const challenge = new URL(String(reply.headers['location'])).searchParams.get('code_challenge')
    for (const secret of [state, challenge ?? '', ...client.cookies.keys(), ...client.cookies.values()])
      seen.add(secret)
  }
  expect(seen.size).toBe(20)
})
