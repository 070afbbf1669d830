import { connect as dial } from 'node:net'
import { expect, test } from 'vitest'
import { SandboxRefused } from '../../src/sandbox/index.ts'
import { api, call, code, connect, EVENT, exchange, refresh, start, tokensOf } from './harness.ts'

test('does not start in production', async () => {
  await expect(start({ production: true })).rejects.toThrow(
    expect.objectContaining({ name: 'SandboxRefused', code: 'production' }),
  )
  await expect(start({ production: true })).rejects.toBeInstanceOf(SandboxRefused)
})

test.each(['0.0.0.0', '::', '10.0.0.1', 'example.org', '127.0.0.1.example.org', ''])(
  'does not listen on %s',
  async host => {
    await expect(start({ host })).rejects.toThrow(expect.objectContaining({ code: 'not_loopback' }))
  },
)

test('closes within a second though a connection is idle and another half open', async () => {
  const sandbox = await start()
  await call(`${sandbox.url}/`)
  const { port, hostname } = new URL(sandbox.url)
  const socket = dial(Number(port), hostname)
  await new Promise(resolve => socket.once('connect', resolve))
  socket.on('error', () => {}).write('POST /oauth/token HTTP/1.1\r\nHost: x\r\n')
  const before = performance.now()
  await sandbox.close()
  expect(performance.now() - before).toBeLessThan(1000)
  socket.destroy()
})

test('no secret, code, token or query reaches the log', async () => {
  const sandbox = await start()
  const used = await code(sandbox, { state: 'canary-state' })
  const tokens = tokensOf(await exchange(sandbox, used))
  await refresh(sandbox, tokens.refresh)
  await exchange(sandbox, used, { client_secret: 'canary-secret' })
  await api(sandbox, tokens.access, `/events/${EVENT}/participants?cursor=canary-cursor`)
  await api(sandbox, 'canary-token', '/canary-path')
  const log = sandbox.logLines.join('\n')
  expect(log).toContain('sandbox token request')
  for (const secret of [used, tokens.access, tokens.refresh, 'app_secret', 'hook_secret', 'canary'])
    expect(log).not.toContain(secret)
})

test('every failure has the same shape and echoes nothing of the request', async () => {
  const { url } = await start()
  for (const [path, method] of [
    ['/canary', 'GET'],
    ['/%zz', 'GET'],
    ['/oauth/token', 'GET'],
    ['/console/api/revoke', 'PUT'],
    ['/api/v2/events', 'GET'],
  ] as const) {
    const { status, json, text } = await call(`${url}${path}`, { method })
    expect(Object.keys(json)).toEqual(['error', 'message', 'request_id'])
    expect(status).toBeLessThan(500)
    expect(text).not.toContain('canary')
  }
})

test('two sandboxes do not share anything', async () => {
  const [one, two] = [await start(), await start()]
  const { access } = await connect(one)
  expect((await api(two, access, `/events/${EVENT}`)).json['error']).toBe('invalid_token')
})
