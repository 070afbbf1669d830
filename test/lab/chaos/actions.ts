import { spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { inherited } from '../../helpers/stage.ts'
import type { ActionName, ArgsOf } from './draws.ts'
import type { Step } from './schedule.ts'
import { runSync } from './sync.ts'
import { connect, participants, redeem } from './visits.ts'
import { send, sendMany } from './webhooks.ts'
import { EVENT, type World } from './world.ts'

const LONGEST_MS = 15_000

type Actions = { readonly [N in ActionName]: (world: World, args: ArgsOf<N>) => Promise<void> }

const ACTIONS: Actions = {
  webhook: send,
  burst: (world, { count, slot }) => sendMany(world, count, slot),

  async connect(world, { from, to }) {
    const way = await connect(world, from)
    if (way) await redeem(world, way, to)
  },
  async abandon(world, { after, slot }) {
    if (after === 'connect') return void (await connect(world, slot, 'stop'))
    const way = await connect(world, slot, after === 'deny' ? 'deny' : 'authorize')
    if (way && after === 'deny') await redeem(world, way, slot)
  },
  async callback_twice(world, { from, to }) {
    const way = await connect(world, from)
    if (way) await Promise.all([redeem(world, way, from), redeem(world, way, to)])
  },
  async participants(world, { count, slot }) {
    await Promise.all(Array.from({ length: count }, (_, n) => participants(world, (slot + n) % 2)))
  },

  async expire(world, { calls }) {
    await world.console('/expire-access-tokens', {})
    await Promise.all(Array.from({ length: calls }, (_, n) => participants(world, n % 2)))
  },
  async revoke(world, { what }) {
    await world.console(`/${what}`, {})
    if (what === 'revoke-refresh-tokens') await world.console('/expire-access-tokens', {})
  },
  /** What has no webhook, or is not told, only a comparison finds. Nobody may be left to do it to. */
  async people(world, { change, count, tell }) {
    const path = change === 'add' ? '/people' : `/people/${change}`
    const status = change === 'edit' ? { status: 'approved' } : {}
    const about = change === 'add' || change === 'edit' ? { tell: tell === 1, ...status } : {}
    await world.console(path, { event_id: EVENT, count, ...about }).catch(() => {})
  },
  async compare(world, { kill_after }) {
    const killed = kill_after > 0 ? AbortSignal.timeout(kill_after) : undefined
    await runSync(world, killed ?? AbortSignal.timeout(LONGEST_MS), killed ? 'SIGKILL' : 'SIGINT')
  },
  /** Of the machine that the app runs on; what Revento signs meanwhile is signed by the same time. */
  async jump({ clock }, { ahead_s }) {
    clock.set(ahead_s * 1_000)
  },
  async clock(world, { advance_s }) {
    await world.console('/clock', { advance_s })
  },
  async platform_fault(world, { name, count }) {
    await world.console('/faults', { name, count, size: 6 })
  },
  async wire_fault({ wires }, { name, count }) {
    wires.faults.set(name, count)
  },

  async token_outage({ wires }, { how, ms }) {
    wires.outage = { how, until: Date.now() + ms }
  },

  async kill(world, { slot, load, after, down }) {
    const loaded = sendMany(world, load, slot)
    await delay(after)
    await world.apps.end(slot, 'SIGKILL')
    await delay(down)
    await Promise.all([loaded, world.apps.start(slot)])
  },
  async term(world, { slot, load, down }) {
    const loaded = sendMany(world, load, slot)
    await world.apps.end(slot, 'SIGTERM')
    await delay(down)
    await Promise.all([loaded, world.apps.start(slot)])
  },
  async second({ apps }, { end }) {
    if (apps.isUp(1)) await apps.end(1, end)
    else await apps.start(1)
  },
  lock: ({ store }, { ms }) => store.lock(ms),
  replay_command: replay,
  crash_database: ({ store }, { down }) => store.crash(down),
}

/** The arguments were drawn for this very action: see schedule.ts. */
export const perform = (world: World, { action, args }: Step): Promise<void> =>
  (ACTIONS[action] as (world: World, args: Step['args']) => Promise<void>)(world, args)

const COMMAND = fileURLToPath(new URL('../../../src/cli/operate/deliveries.ts', import.meta.url))

/** As an operator does it, of any delivery: most are refused, and told why. */
async function replay(world: World, { which }: ArgsOf<'replay_command'>): Promise<void> {
  const args = ['replay', String(1 + (which % Math.max(1, world.hooks.length)))]
  const child = spawn(process.execPath, [COMMAND, ...args], {
    cwd: world.folder,
    env: { ...inherited(), ...world.command.env },
  })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (printed += String(chunk)))
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  world.commands.push({ args: args.join(' '), code, printed })
}
