// part: senders
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { EVENT_TYPES } from '../../src/revento/platform.ts'
import { testEvents } from '../../src/sandbox/api/events.ts'
import { emptyState } from '../../src/sandbox/state.ts'
import { draftOf } from '../../src/sandbox/webhooks/story.ts'
import { shippedProviders as providers } from '../../src/webhooks/providers/index.ts'
import { revento } from '../../src/webhooks/providers/revento.ts'
import { verify } from '../../src/webhooks/verify/signature.ts'
import { testFolder } from '../helpers/folder.ts'
import { startProgram } from '../helpers/program.ts'
import { SENDERS_ENV, secretOf } from '../helpers/senders.ts'
import { typed } from '../helpers/typed.ts'

const CLI = fileURLToPath(new URL('../../src/cli/develop/trigger.ts', import.meta.url))

interface Received {
  method: string
  url: string
  headers: IncomingHttpHeaders
  body: Buffer
}

/** Somebody else's server: remembers what came, and answers what it is told to. */
async function startReceiver(status = 200, text = '{"status":"ok"}') {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray())
    received.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
    response
      .writeHead(status, { 'content-type': 'application/json', 'retry-after': '7', 'x-other': '1' })
      .end(text)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` }
}

const trigger = (args: string[], env: Record<string, string> = {}) => typed(CLI, args, { env })

test('--help names every provider and option, and sends nothing', async () => {
  const { code, out } = await trigger(['--help'])
  expect(code).toBe(0)
  for (const { name } of providers) expect(out).toContain(name)
  for (const option of [
    '--url',
    '--secret',
    '--data',
    '--body',
    '--duplicate',
    '--stale',
    '--tamper',
    '--json',
  ])
    expect(out).toContain(option)
})

test.each(providers.map(p => [p.name, p] as const))(
  '%s: signs so that its receiver accepts it',
  async (name, provider) => {
    const { received, url } = await startReceiver()
    const { code, out } = await trigger([name, '--url', url, '--secret', secretOf(provider)])
    expect([code, received.length]).toEqual([0, 1])
    expect(out).toMatch(
      /^POST http:\S+\/hook \(\S+, \d+ bytes\)\n200 in \d+ ms\ncontent-type: application\/json\n/,
    )
    expect(out).toContain('{"status":"ok"}')
    const [{ headers, body } = { headers: {}, body: Buffer.alloc(0) }] = received
    expect(verify(provider, { current: secretOf(provider) }, headers, body, Date.now())).toEqual({
      ok: true,
      secret: 'current',
    })
    expect(headers['content-type']).toBe(provider.contentType)
  },
)

describe('what it can do to a delivery', () => {
  const send = async (args: string[]) => {
    const { received, url } = await startReceiver()
    const result = await trigger([...args, '--url', url, '--secret', 'the-secret-of-a-test'])
    return { ...result, received }
  }
  const judge = (name: string, { headers, body }: Received) => {
    const provider = providers.find(p => p.name === name)
    if (!provider) throw new Error(name)
    const verdict = verify(provider, { current: 'the-secret-of-a-test' }, headers, body, Date.now())
    return verdict.ok ? 'accepted' : verdict.reason
  }

  test('--duplicate sends the same bytes and headers again', async () => {
    const { received, out } = await send(['barker', '--duplicate', '3'])
    const seen = received.map(({ headers, body }) => [headers['barker_signature'], body.toString()])
    expect(seen).toHaveLength(3)
    expect(new Set(seen.map(String)).size).toBe(1)
    expect(out.match(/^200 in/gm)).toHaveLength(3)
  })

  test('--stale signs an old time, --tamper changes the body afterwards', async () => {
    const stale = await send(['revento', '--stale'])
    expect(stale.received.map(one => judge('revento', one))).toEqual(['timestamp_stale'])
    const tampered = await send(['entrupy', '--tamper'])
    expect(tampered.received.map(one => judge('entrupy', one))).toEqual(['signature_mismatch'])
  })

  test('--body is the body, byte for byte, also from a file and of any text', async () => {
    const text = await send(['barker', '--body', 'plain text; not JSON é'])
    expect(text.received[0]?.body.toString()).toBe('plain text; not JSON é')
    expect(text.received.map(one => judge('barker', one))).toEqual(['accepted'])
    const file = join(testFolder(), 'body.bin')
    writeFileSync(file, Buffer.of(0, 255, 10))
    const bytes = await send(['barker', '--body', `@${file}`])
    expect(bytes.received[0]?.body).toEqual(Buffer.of(0, 255, 10))
    expect(bytes.received.map(one => judge('barker', one))).toEqual(['accepted'])
  })

  test('--data fills the data of the event, with the digits as typed', async () => {
    const { received } = await send([
      'revento',
      '--data',
      '{"participant_id":"ptp_7","size":9007199254740993123}',
    ])
    expect(received.map(one => judge('revento', one))).toEqual(['accepted'])
    const text = String(received[0]?.body)
    expect(text).toContain('"size":9007199254740993123')
    expect(JSON.parse(text)).toMatchObject({
      type: 'application.submitted',
      event_id: 'evt_test_published',
      data: { participant_id: 'ptp_7', user_id: 'usr_001', status: 'pending' },
    })
    const aghanim = await send(['aghanim', '--data', '{"player_id":"me"}'])
    expect(JSON.parse(String(aghanim.received[0]?.body))).toMatchObject({ event_data: { player_id: 'me' } })
  })

  test.each(EVENT_TYPES)('%s has the members that the sandbox sends', async type => {
    const at = '2026-05-09T14:22:31.000Z'
    const [event] = testEvents()
    if (!event) throw new Error('the sandbox has no event')
    const sandbox = draftOf(emptyState(), type, event, at)
    const example = JSON.parse(revento.example({ type, id: '1', at: Date.parse(at) }))
    expect(new Set(Object.keys(example.data))).toEqual(new Set(Object.keys(sandbox.data)))
    expect([example.event_id, example.organization_id]).toEqual([sandbox.event_id, sandbox.organization_id])
  })

  test('the type that trigger is given decides the header and the example', async () => {
    const { received } = await send(['revento', 'activity.updated'])
    expect(received[0]?.headers['x-revento-event']).toBe('activity.updated')
    expect(JSON.parse(String(received[0]?.body))['type']).toBe('activity.updated')
  })

  test('--json prints one object for each answer', async () => {
    const { out } = await send(['aghanim', '--json', '--duplicate', '2'])
    const lines = out
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(lines).toMatchObject(
      [1, 2].map(() => ({ type: 'player.verify', status: 200, body: '{"status":"ok"}' })),
    )
    expect(Object.keys(lines[0]?.headers)).toEqual(['content-type', 'retry-after'])
  })
})

test('the handshake shows its token first', async () => {
  const { received, url } = await startReceiver()
  expect((await trigger(['handshake', '--url', url, '--secret', 'a-token-of-mine'])).code).toBe(0)
  expect(received.map(({ method, url }) => `${method} ${url}`)).toEqual([
    'GET /hook?verify_token=a-token-of-mine',
    'POST /hook',
  ])
})

test('an answer that is not 2xx is exit code 1, and its controls do not reach the terminal', async () => {
  const { url } = await startReceiver(403, 'no \u001b[2J\u009b way')
  const { code, out } = await trigger(['entrupy', '--url', url])
  expect(code).toBe(1)
  expect(out).toContain('403 in')
  expect(out).toContain('retry-after: 7')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
  expect(out).not.toMatch(/[\u001b\u009b]/)
})

test.each([
  ['no provider', [], 'Give a provider'],
  ['an unknown provider', ['nobody'], 'give one of revento, entrupy, aghanim, barker, standard'],
  ['too many words', ['barker', 'message', 'hello'], 'a body goes after --body'],
  ['data without a place', ['barker', '--data', '{}'], 'give the whole body with --body'],
  ['data that is no object', ['revento', '--data', '7'], '--data must be a JSON object'],
  ['data and a body', ['revento', '--data', '{}', '--body', '{}'], 'not both'],
  ['an unknown option', ['barker', '--foo'], '--help'],
  ['a URL without a scheme', ['barker', '--url', 'localhost:3000'], '--url must be a URL'],
  ['a count of nothing', ['barker', '--duplicate', '0'], '--duplicate takes a number from 1 to 999'],
  ['a missing file', ['barker', '--body', '@nowhere.json'], '--body: cannot read nowhere.json (ENOENT)'],
  ['a secret of another form', ['standard', '--secret', 'plain'], '--secret must be'],
  ['a time that is not signed', ['entrupy', '--stale'], 'leave --stale out'],
  ['tampering with nothing', ['handshake', '--tamper'], 'leave --tamper out'],
  [
    'nobody there',
    ['barker', '--url', 'http://127.0.0.1:9/'],
    'No answer from http://127.0.0.1:9/ (ECONNREFUSED)',
  ],
] as [string, string[], string][])('%s: says what to type, exit code 1', async (_, args, says) => {
  const { code, out, err } = await trigger(args)
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain(says)
})

test('with the real platform a secret has to be given: it says which variable', async () => {
  const real = {
    REVENTO_CLIENT_ID: 'client-1',
    REVENTO_CLIENT_SECRET: 'client-secret',
    REVENTO_WEBHOOK_SECRET: 'webhook-1',
  }
  const { code, err } = await trigger(['aghanim'], real)
  expect(code).toBe(1)
  expect(err).toContain('AGHANIM_WEBHOOK_SECRET')
  const { url } = await startReceiver()
  expect((await trigger(['aghanim', '--url', url], { ...real, ...SENDERS_ENV })).code).toBe(0)
})

test('after two commands every sender is taken: the app of a bare clone, with its sandbox', async () => {
  const app = await startProgram()
  onTestFinished(async () => void (await app.stop()))
  const { port } = new URL(app.url)
  for (const name of [...providers.map(p => p.name), 'handshake']) {
    const { code, out, err } = await trigger([name], { PORT: port })
    expect([name, code, err]).toEqual([name, 0, ''])
    expect(out).toContain('200 in')
  }
  const twice = await trigger(['aghanim', '--duplicate', '2'], { PORT: port })
  expect(twice.out.match(/\{"status":"ok"\}/g)).toHaveLength(2)
  expect((await trigger(['aghanim', 'item.add'], { PORT: port })).out).toContain('unknown_event_type')
  expect((await trigger(['barker', '--tamper'], { PORT: port })).code).toBe(1)
})
