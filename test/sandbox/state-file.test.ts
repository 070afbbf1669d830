import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { api, code, connect, EVENT, exchange, post, refresh, start, tokensOf } from './harness.ts'

function stateFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sandbox-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return join(folder, 'data', 'sandbox.json')
}

test('a restart keeps installations, tokens, reviews and what was spent', async () => {
  const file = stateFile()
  const first = await start({ stateFile: file })
  const used = await code(first)
  const tokens = tokensOf(await exchange(first, used))
  const rotated = tokensOf(await refresh(first, tokens.refresh))
  await post(first, '/console/api/webhooks', { type: 'application.rejected' })
  const path = `/events/${EVENT}/participants?limit=50`
  const { json } = await api(first, tokens.access, path)
  await first.close()

  const second = await start({ stateFile: file })
  expect((await api(second, rotated.access, path)).json).toEqual(json)
  expect((await refresh(second, rotated.refresh)).status).toBe(200)
  expect((await exchange(second, used)).json).toMatchObject({ error: 'invalid_grant' })
  expect((await api(second, rotated.access, path)).json['error']).toBe('token_revoked')
})

test('the file is private, whole, and holds no code or token', async () => {
  const file = stateFile()
  const sandbox = await start({ stateFile: file })
  const used = await code(sandbox)
  const { access, refresh: refreshToken } = tokensOf(await exchange(sandbox, used))
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readdirSync(join(file, '..'))).toEqual(['sandbox.json'])
  const text = readFileSync(file, 'utf8')
  for (const secret of [used, access, refreshToken, 'rev_', 'app_secret']) expect(text).not.toContain(secret)
})

test.each(['{"version":1,', '[]', '{"version":2}', '{"version":1,"installations":{"x":7}}'])(
  'a file that says %s is started over, with a warning',
  async text => {
    const file = join(mkdtempSync(join(tmpdir(), 'sandbox-')), 'state.json')
    onTestFinished(() => rmSync(join(file, '..'), { recursive: true }))
    writeFileSync(file, text)
    const sandbox = await start({ stateFile: file })
    expect(sandbox.logLines.filter(line => line.includes('starting fresh'))).toHaveLength(1)
    await connect(sandbox)
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ version: 1 })
  },
)

test('a first start without a file warns of nothing', async () => {
  const sandbox = await start({ stateFile: stateFile() })
  expect(sandbox.logLines.filter(line => line.includes('"level":"warn"'))).toEqual([])
})

test('a file that cannot be written is a warning, not a failed answer', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sandbox-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const occupied = join(folder, 'occupied')
  writeFileSync(occupied, '')
  chmodSync(occupied, 0o400)
  const sandbox = await start({ stateFile: join(occupied, 'state.json') })
  const { access } = await connect(sandbox)
  expect((await api(sandbox, access, `/events/${EVENT}`)).status).toBe(200)
  expect(sandbox.logLines.some(line => line.includes('was not saved'))).toBe(true)
})
