import { systemRuntime as runtime } from '../../../process/runtime.ts'
import { type Draft, handlerFile, storyOf } from './deliveries.ts'
import { effects } from './effects.ts'
import type { World } from './open-world.ts'
import { type Effects, Failed, type Row, type Sent } from './world.ts'

const ENDED = new Set(['done', 'ignored', 'duplicate'])
/** A handler is stopped after 20 s; this leaves time to store its outcome. */
const HANDLED_MS = 27_000
/** The drill causes more requests in a minute than Revento allows: a delivery that waits for the limit is no trouble. */
const LIMITED = /^ApiError: .* rate_limit_exceeded$/
const LIMITED_MS = 150_000
/** The error that the drill itself throws is no trouble. */
const OWN = /^Drill: /

export async function send(world: World, drafts: readonly Draft[]): Promise<string[]> {
  const sent = drafts.map(draft => world.console<{ delivery_id: string }>('/webhooks', draft))
  return (await Promise.all(sent)).map(({ delivery_id }) => delivery_id)
}

/** Resolves when `count` webhooks and the sandbox's automatic ones have been answered 2xx. */
export async function delivered(world: World, count: number): Promise<readonly Sent[]> {
  const wanted = count + world.automatic
  return world.until(`the app acknowledges ${wanted} webhooks`, 60_000, async () => {
    const { data } = await world.console<{ data: Sent[] }>('/deliveries')
    return data.length >= wanted && data.every(({ state }) => state === 'delivered') && data
  })
}

/** Resolves when every stored delivery has ended well; fails with the handlers that did not end so. */
export async function handled(world: World, ms = HANDLED_MS): Promise<void> {
  const open = (row: Row) => !ENDED.has(row.state) && !isTrouble(row)
  const begun = runtime.monotonic()
  const waitLonger = (rows: Row[]) => runtime.monotonic() - begun < ms || rows.some(isLimited)
  await world
    .until('everything is handled', Math.max(ms, LIMITED_MS), () => {
      const rows = world.rows()
      return !rows.some(open) || !waitLonger(rows)
    })
    .catch(() => {})
  const troubled = world.rows().filter(row => isTrouble(row) || open(row))
  if (troubled[0]) throw new Failed(reasonsOf(troubled), fileOf(troubled[0]))
}

const isLimited = ({ state, last_error }: Row) => !ENDED.has(state) && LIMITED.test(last_error ?? '')

const isTrouble = ({ state, last_error }: Row) => {
  if (state === 'dead' || state === 'parked') return true
  return !ENDED.has(state) && last_error !== null && !OWN.test(last_error) && !LIMITED.test(last_error)
}

function reasonsOf(rows: readonly Row[]): string {
  const lines = rows.map(row => `${fileOf(row)} (${row.type}) ${trouble(row)}`)
  return [...new Set(lines)].slice(0, 5).join('; ')
}

const fileOf = ({ provider, type }: Row) => handlerFile(provider, type)

function trouble({ state, last_error }: Row): string {
  if (last_error?.startsWith('HandlerTimeout')) return 'did not end within 20 s, and did not heed its signal'
  if (state === 'parked') return 'waits for a reconnect, although its event is connected'
  return last_error === null ? `is still ${state}` : `threw ${last_error}`
}

/** Connects, and sends the whole story in order. `between` may interfere after the first wave. */
export async function tellAll(world: World, between?: () => Promise<void>): Promise<Effects> {
  const { first, second, last } = storyOf()
  await world.connect()
  await send(world, first)
  if (between) await between()
  else await delivered(world, first.length)
  await handled(world)
  await tellRest(world, [second, last])
  return effects(world)
}

export async function tellRest(world: World, waves: readonly (readonly Draft[])[]): Promise<void> {
  for (const wave of waves) {
    const ids = await send(world, wave)
    await world.until('the app acknowledges them', 30_000, async () => {
      const all = await Promise.all(ids.map(id => world.console<Sent>(`/deliveries/${id}`)))
      return all.every(({ state }) => state === 'delivered')
    })
    await handled(world)
  }
}
