import { setTimeout as delay } from 'node:timers/promises'
import { mirrored } from './sync.ts'
import { connect, participants, redeem } from './visits.ts'
import type { World } from './world.ts'

const PATIENCE_MS = 60_000
const MINUTE_MS = 65_000

/**
 * Every fault ends; one fresh process has to find its way: the organizer can connect, the list comes, and everything
 * that was taken is handled. Says what does not.
 */
export async function recover(world: World): Promise<string[]> {
  world.wires.faults.clear()
  world.wires.outage = undefined
  world.clock.set(0)
  await world.console('/faults/clear', {})
  await world.console('/faults', { name: 'webhook_wrong_secret', count: 1000 })
  await Promise.all([world.apps.end(0, 'SIGTERM'), world.apps.end(1, 'SIGTERM')])
  await world.apps.start(0)
  const missing: string[] = []
  const way = await connect(world, 0)
  const back = way ? await redeem(world, way, 0) : undefined
  if (back?.status !== 200) missing.push(`connecting again was answered ${back?.status}: ${back?.text}`)
  const list = await listed(world)
  if (list?.status !== 200) missing.push(`the list was answered ${list?.status}: ${list?.text}`)
  return [...missing, ...(await mirrored(world)), ...(await handled(world))]
}

/** What came before may have used up this minute's calls: then it says so, and the next minute has others. */
async function listed(world: World) {
  const giveUpAt = Date.now() + MINUTE_MS
  for (;;) {
    const list = await participants(world, 0)
    if (Date.now() > giveUpAt || !list?.text.includes('"rate_budget_used"')) return list
    await delay(2_000)
  }
}

/** As if the time of leases and retries had passed: no other process holds any, and its own it knows. */
const HURRY = `update outcomes set next_at = 1 where state in ('pending', 'running') and next_at > 1`
const OPEN = `select count(*) as n from inbox where state in ('pending', 'running', 'parked')`

async function handled({ store }: World): Promise<string[]> {
  const giveUpAt = Date.now() + PATIENCE_MS
  for (let look = 0; Date.now() < giveUpAt; look++) {
    const [open] = await store.read<{ n: number }>(OPEN)
    if (Number(open?.n) === 0) return []
    if (look % 10 === 0) await store.write(HURRY)
    await delay(100)
  }
  return ['not everything was handled within 60 s']
}
