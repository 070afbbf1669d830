import { execFileSync } from 'node:child_process'
import { systemRuntime as runtime } from '../../../process/runtime.ts'
import { nextTry } from './days-tokens.ts'
import { storyOf } from './deliveries.ts'
import { effects, expectSame } from './effects.ts'
import { handled, send, tellRest } from './handling.ts'
import type { Day, World } from './open-world.ts'
import { expect, Failed, NotHere, type Row, type Sent } from './world.ts'

const LEASE_MS = 30_000
const PATIENCE_MS = LEASE_MS + 30_000

/** Kills the app when every handler has done its work and none has ended yet. Answers the rows at that moment. */
async function killedInHandlers(world: World): Promise<Row[]> {
  const { first } = storyOf()
  await world.start('hang')
  await world.connect()
  await send(world, first)
  const hanging = first.length + world.automatic
  await world.until(`${hanging} handlers are in the middle of their work`, 30_000, () => {
    const lines =
      world
        .program()
        .log()
        .match(/^drill: delivery \d+ hangs$/gm) ?? []
    return lines.length >= hanging
  })
  await world.kill()
  return world.rows()
}

export const PROCESS_DAYS: readonly Day[] = [
  {
    name: 'kill',
    title: 'kill -9 in the middle of every handler',
    why: 'A delivery that was answered 200 is ours to finish: Revento does not send it again.',
    look: 'src/webhooks/inbox/claim.ts',
    async run(world) {
      const wanted = await world.undisturbed()
      const before = await killedInHandlers(world)
      await world.start()
      await handled(world, PATIENCE_MS)
      expect('deliveries after the restart', world.rows().length, before.length)
      expect('runs', [...new Set(world.rows().map(({ attempts }) => attempts))], [2])
      const { second, last } = storyOf()
      await tellRest(world, [second, last])
      expectSame('the run after the kill', effects(world), wanted)
    },
  },
  {
    name: 'held_lease',
    title: 'a restart while deliveries are still leased to the dead process',
    why: 'A lease keeps two processes off one delivery; it must neither be ignored nor delay new deliveries.',
    look: 'src/webhooks/inbox/claim.ts',
    async run(world) {
      await killedInHandlers(world)
      const killedAt = runtime.now()
      const held = world
        .rows()
        .filter(({ state }) => state === 'running')
        .map(({ id }) => id)
      if (held.length === 0) throw new Failed('the kill left nothing behind: nothing was being handled')
      await world.start()
      const [id] = await send(world, [{ provider: 'revento', type: 'application.approved' }])
      await world.until('a new delivery is handled at once', 15_000, () =>
        world.rows().some(row => row.delivery_id === id && row.state === 'done'),
      )
      const early = world.read<{ n: number }>('select count(*) n from attempts where attempt = 2')[0]?.n
      if (runtime.now() - killedAt < LEASE_MS / 2) expect('runs under the held leases', early, 0)
      await handled(world, PATIENCE_MS)
      const late = Math.max(...world.rows().map(row => row.finished_at ?? 0)) - killedAt
      if (late > LEASE_MS + 10_000)
        throw new Failed(`the last one ended ${Math.round(late / 1000)} s after the kill`)
    },
  },
  {
    name: 'kill_in_refresh',
    title: 'kill -9 while a refresh is under way',
    why: 'Only Revento may know the new tokens: the refresh is repeated once no request can be under way.',
    look: 'src/oauth/refresh-lease.ts',
    fault: 'token_slow',
    async run(world) {
      await world.start()
      await world.connect('quiet')
      await world.console('/expire-access-tokens', {})
      await world.fault('token_slow')
      const lost = world.participants().catch(() => undefined)
      await world.until('the refresh is sent', 10_000, async () => (await world.refreshes()).length === 1)
      await world.kill()
      await lost
      await world.start()
      const early = await world.until('an answer', 20_000, async () => (await world.participants()).status)
      expect('while the request of the dead process may be under way', early, 504)
      expect('requests by then', await world.refreshes(), [])
      // The lease of the dead process has fifteen seconds, and the next try comes thirty after it.
      await nextTry(world, 60_000)
      const status = await world.until('an answer', 20_000, async () => (await world.participants()).status)
      expect('after the restart', status, 409)
      expect('requests of the new process', await world.refreshes(), ['invalid_grant'])
    },
  },
  {
    name: 'disk_full',
    title: 'the disk is full for a while',
    why: 'What cannot be stored must not be acknowledged; Revento then sends it again.',
    look: 'src/webhooks/inbox/inbox.ts',
    async run(world) {
      await world.start()
      limitFiles(world, '2500000')
      const body = JSON.stringify({
        id: 'evt_delivery_00000000-0000-4000-8000-000000000000',
        type: 'drill.unknown',
        occurred_at: new Date(runtime.now()).toISOString(),
        event_id: null,
        organization_id: null,
        data: { note: 'x'.repeat(50_000) },
      })
      await world.console('/webhooks', { type: 'drill.unknown', body, count: 80 })
      await world.until('the full disk is met', 20_000, async () => (await refused(world)) > 0)
      const ready = await world.get('/ready')
      expect('/ready', [ready.status, /disk/.test(ready.text)], [503, true])
      expect('/health', (await world.get('/health')).status, 200)
      limitFiles(world, 'unlimited')
      await world.until('everything is taken after all', 60_000, async () => (await open(world)) === 0)
      expect('stored deliveries', new Set(world.rows().map(row => row.delivery_id)).size, 80)
      expect('/ready afterwards', (await world.get('/ready')).status, 200)
    },
  },
]

const sent = async (world: World) => (await world.console<{ data: Sent[] }>('/deliveries')).data
const open = async (world: World) => (await sent(world)).filter(({ state }) => state !== 'delivered').length

/** The number of answers 503. Any other refusal is a failure. */
async function refused(world: World): Promise<number> {
  const statuses = (await sent(world)).flatMap(({ attempts }) => attempts.map(({ status }) => status))
  const other = statuses.find(status => status !== 200 && status !== 503)
  if (other !== undefined) throw new Failed(`a webhook was answered ${other ?? 'nothing'} on a full disk`)
  return statuses.filter(status => status === 503).length
}

/** Limits the size of every file of the process: the kernel then refuses writes as a full disk does. */
function limitFiles(world: World, bytes: string): void {
  try {
    execFileSync('prlimit', ['--pid', String(world.program().pid), `--fsize=${bytes}:unlimited`], {
      stdio: 'ignore',
    })
  } catch {
    throw new NotHere('not run on this system: it needs prlimit, which only Linux has')
  }
}
