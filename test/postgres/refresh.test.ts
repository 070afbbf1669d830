import { expect, onTestFinished, test } from 'vitest'
import { testStore } from '../helpers/database.ts'
import { elapse } from '../helpers/elapse.ts'
import { startWorkers } from '../helpers/refresh-workers.ts'
import { rounds } from '../helpers/rounds.ts'

test('several processes make exactly one token request for each expiry', { timeout: 90_000 }, async () => {
  const { store, url } = await testStore()
  const processes = Math.min(4, rounds(2))
  const { platform, expireAndCall, stop } = await startWorkers(store, url, processes)
  onTestFinished(stop)
  for (let round = 1; round <= rounds(6); round++) {
    expect(await expireAndCall()).toEqual(Array(processes).fill('ok'))
    expect(platform.upstream.tokenRequests().length).toBe(round)
  }
  expect(platform.revoked()).toBe(false)
})

test('an answer that is lost is asked for again, and then the organizer', {
  timeout: 40_000,
}, async () => {
  const { store, url } = await testStore()
  const { platform, query, expireAndCall, stop } = await startWorkers(store, url, 1)
  onTestFinished(stop)
  platform.after = async () => {
    platform.after = async () => true
    return false
  }
  expect(await expireAndCall()).toEqual(['upstream_error'])
  expect(await expireAndCall()).toEqual(['upstream_error'])
  expect(platform.upstream.tokenRequests().length).toBe(1)
  await elapse(query, 7_000)
  expect(await expireAndCall()).toEqual(['reconsent_required'])
  expect(platform.upstream.tokenRequests().length).toBe(2)
})
