import { expect, test } from 'vitest'
import { createSealer } from '../../src/keys/sealing.ts'
import { createFlows } from '../../src/oauth/flows.ts'
import { startPair } from './harness.ts'

async function start() {
  const { app, runtime } = await startPair()
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
  const flows = createFlows(app.database.query, sealer, runtime, runtime, { ttlMs: 1000, cookiePrefix: '' })
  return { flows, runtime, query: app.database.query }
}

test('of many that have read the flow before one takes it, one gets it', async () => {
  const { flows } = await start()
  const flow = await flows.start('evt_1')
  const all = await Promise.all(Array.from({ length: 10 }, () => flows.consume(flow.state, flow.cookie)))
  expect(all.filter(result => result.ok)).toEqual([
    { ok: true, eventId: 'evt_1', kind: 'installation', codeVerifier: flow.codeVerifier },
  ])
  expect(new Set(all.map(result => (result.ok ? 'ok' : result.reason)))).toEqual(
    new Set(['ok', 'state_used']),
  )
})

test('a flow ends exactly at its time', async () => {
  const { flows, runtime } = await start()
  const frozen = runtime.now()
  const at = (ms: number) => {
    runtime.now = () => frozen + ms
  }
  at(0)
  const [inTime, late] = [await flows.start('evt_1'), await flows.start('evt_1')]
  at(999)
  expect(await flows.consume(inTime.state, inTime.cookie)).toMatchObject({ ok: true })
  at(1000)
  expect(await flows.consume(late.state, late.cookie)).toMatchObject({ ok: false, reason: 'state_expired' })
})

test('a verifier that was moved to another flow does not open', async () => {
  const { flows, query } = await start()
  const [one, two] = [await flows.start('evt_1'), await flows.start('evt_2')]
  const [donor] = await query.selectFrom('flows').selectAll().where('event_id', '=', 'evt_1').execute()
  await query
    .updateTable('flows')
    .set({ verifier: donor?.verifier ?? null })
    .where('event_id', '=', 'evt_2')
    .execute()
  await expect(flows.consume(two.state, two.cookie)).rejects.toThrow()
  expect(await flows.consume(one.state, one.cookie)).toMatchObject({ ok: true })
})
