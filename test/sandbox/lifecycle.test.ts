import { createServer } from 'node:http'
import { type AddressInfo, connect as dial } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { SandboxRefused } from '../../src/sandbox/index.ts'
import { api, call, code, connect, EVENT, exchange, post, refresh, start, tokensOf } from './harness.ts'

test('the sandbox does not start in production', async () => {
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

test('the sandbox closes within a second though one connection is idle and another waits in the middle of a body', async () => {
  const sandbox = await start()
  await call(`${sandbox.url}/`)
  const { port, hostname } = new URL(sandbox.url)
  const socket = dial(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  const head = ['POST /oauth/token HTTP/1.1', 'Host: x', 'Content-Length: 99', 'Expect: 100-continue']
  socket.write(`${[...head, 'Content-Type: application/x-www-form-urlencoded'].join('\r\n')}\r\n\r\n`)
  await new Promise(resolve => socket.once('data', resolve))
  const before = performance.now()
  await sandbox.close()
  expect(performance.now() - before).toBeLessThan(1000)
})

test('the sandbox closes within a second though a receiver never answers', async () => {
  const silent = createServer(() => {})
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    silent.closeAllConnections()
    silent.close()
  })
  const { port } = silent.address() as AddressInfo
  const sandbox = await start({ webhookUrl: `http://127.0.0.1:${port}/` })
  await post(sandbox, '/console/api/webhooks', { type: 'activity.updated' })
  await new Promise(resolve => silent.once('request', resolve))
  const before = performance.now()
  await sandbox.close()
  expect(performance.now() - before).toBeLessThan(1000)
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
