import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  api,
  call,
  connect,
  EVENT,
  post,
  receiver,
  refresh,
  type Started,
  start,
  tokensOf,
  until,
} from './harness.ts'

const HOUR = 3600
const DAY = 24 * HOUR
const move = (sandbox: Started, advance_s: unknown) => post(sandbox, '/console/api/clock', { advance_s })
const clockOf = async (sandbox: Started) => (await call(`${sandbox.url}/console/api/clock`)).json
const errorOf = async (sandbox: Started, access: string) =>
  (await api(sandbox, access, `/events/${EVENT}`)).json['error']

describe('moving it forward', () => {
  test('moving the clock forward shows the offset, and adds up', async () => {
    const sandbox = await start()
    await move(sandbox, HOUR)
    expect((await move(sandbox, DAY)).json).toEqual({ now: '2026-12-02T11:00:00.000Z', offset_s: DAY + HOUR })
    expect(await clockOf(sandbox)).toEqual({ now: '2026-12-02T11:00:00.000Z', offset_s: DAY + HOUR })
  })

  test('an hour forward ends an access token and not a second earlier; a refresh gives a full hour', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    await move(sandbox, HOUR - 1)
    expect(await errorOf(sandbox, tokens.access)).toBeUndefined()
    await move(sandbox, 1)
    expect(await errorOf(sandbox, tokens.access)).toBe('token_expired')
    const { access } = tokensOf(await refresh(sandbox, tokens.refresh))
    await move(sandbox, HOUR - 1)
    expect(await errorOf(sandbox, access)).toBeUndefined()
  })

  test('90 days forward end an unused refresh token and not a second earlier', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    await move(sandbox, 90 * DAY - 1)
    const next = tokensOf(await refresh(sandbox, tokens.refresh))
    await move(sandbox, 90 * DAY)
    expect((await refresh(sandbox, next.refresh)).json['error']).toBe('invalid_grant')
  })

  test('a year forward ends the consent, however often it was refreshed', async () => {
    const sandbox = await start()
    let tokens = await connect(sandbox)
    for (const days of [80, 80, 80, 80]) {
      await move(sandbox, days * DAY)
      tokens = tokensOf(await refresh(sandbox, tokens.refresh))
    }
    await move(sandbox, 44 * DAY)
    const last = await refresh(sandbox, tokens.refresh)
    expect(last.json['refresh_expires_in']).toBe(DAY)
    await move(sandbox, DAY)
    expect((await refresh(sandbox, tokensOf(last).refresh)).json['error']).toBe('invalid_grant')
  })

  test('a moved clock leaves what the app compares with its own clock alone: webhooks and rate limits', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    await move(sandbox, 365 * DAY)
    const { access } = await connect(sandbox)
    const { headers } = await api(sandbox, access, `/events/${EVENT}`)
    await post(sandbox, '/console/api/webhooks', { type: 'activity.updated' })
    await until(() => hook.received.length === 1)
    const now = sandbox.runtime.now() / 1000
    expect(Number(headers['x-ratelimit-reset'])).toBeLessThanOrEqual(now + HOUR)
    expect(Number(hook.received[0]?.headers['x-revento-timestamp'])).toBe(now)
    const { occurred_at } = JSON.parse(hook.received[0]?.body ?? '{}') as { occurred_at: string }
    expect(occurred_at).toBe(new Date(sandbox.runtime.now()).toISOString())
  })

  test.each([0, -1, 1.5, '1h', null, [], 1e12])('%j is no time to pass', async advance_s => {
    const sandbox = await start()
    expect((await move(sandbox, advance_s)).json['error']).toBe('invalid_request')
    expect((await clockOf(sandbox))['offset_s']).toBe(0)
  })

  test('the clock can be moved ten years at most', async () => {
    const sandbox = await start()
    await move(sandbox, 10 * 365 * DAY)
    expect((await move(sandbox, 1)).json['error']).toBe('clock_limit')
  })
})

describe('setting it back', () => {
  test('setting the clock back revives nothing, and leaves the rest the life it has', async () => {
    const sandbox = await start()
    const early = await connect(sandbox)
    await move(sandbox, 90 * DAY)
    const late = await connect(sandbox, { event_id: 'evt_test_second' })
    expect((await post(sandbox, '/console/api/clock/reset')).json['offset_s']).toBe(0)
    expect(await errorOf(sandbox, early.access)).toBe('token_expired')
    expect((await refresh(sandbox, early.refresh)).json['error']).toBe('invalid_grant')
    const lateError = async () => (await api(sandbox, late.access, '/events/evt_test_second')).json['error']
    sandbox.runtime.advance((HOUR - 1) * 1000)
    expect(await lateError()).toBeUndefined()
    sandbox.runtime.advance(1000)
    expect(await lateError()).toBe('token_expired')
    expect((await refresh(sandbox, late.refresh)).json['refresh_expires_in']).toBe(90 * DAY)
  })
})

test('a restart keeps how far the sandbox’s clock is ahead', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sandbox-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const stateFile = join(folder, 'state.json')
  const first = await start({ stateFile })
  await move(first, HOUR)
  await first.close()
  expect((await clockOf(await start({ stateFile })))['offset_s']).toBe(HOUR)
})
