import { type Filter, filterWords, readMoment } from '../../operator/filter.ts'
import { createInboxQueries } from '../../operator/queries.ts'
import { createReplays, PER_STEP } from '../../operator/replays.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import type { Store } from '../../storage/database.ts'
import type { DeliveryState, Platform } from '../../storage/schema.ts'
import { print, Usage } from '../command.ts'
import { writing } from '../store.ts'

export interface ReplayFlags {
  readonly state?: string | undefined
  readonly provider?: string | undefined
  readonly type?: string | undefined
  readonly event?: string | undefined
  readonly since?: string | undefined
  readonly until?: string | undefined
  readonly 'dry-run': boolean
  readonly stop: boolean
  readonly again: boolean
  readonly anew: boolean
  readonly isMany: boolean
  readonly id: string
}

/** How often the rows are looked at; the app steps as well, where it runs. */
const LOOK_MS = 200

/** `idOf` finds our id of a delivery by a sender's. */
export async function replayBy(
  store: Store,
  platform: Platform,
  flags: ReplayFlags,
  idOf: (given: string) => Promise<string>,
): Promise<number> {
  if (flags.isMany) return replayMany(store, platform, flags)
  return replayDone(store, platform, await idOf(flags.id), flags.anew)
}

/** Replays all deliveries that the flags find: says how many, and waits until they have had their turn. */
function replayMany(store: Store, platform: Platform, flags: ReplayFlags): Promise<number> {
  return writing(store, async query => {
    const inbox = createInboxQueries(query, platform, runtime)
    const replays = createReplays(query, { platform, inbox }, runtime)
    if (flags.stop) {
      const running = (await replays.list(1_000)).filter(({ state }) => state === 'running')
      for (const { id } of running) await replays.stop(id)
      print(running.length === 0 ? 'No replay is under way.' : `Stopped: ${running.length}.`)
      return 0
    }
    const filter = filterOf(flags)
    const { total } = await inbox.countReplayable(filter)
    const found = `${total} ${total === 1 ? 'delivery' : 'deliveries'} (${filterWords(filter)})`
    if (flags['dry-run'] || total === 0) {
      print(`${found} would run again. Nothing was changed.`)
      return 0
    }
    const { id } = await replays.begin(filter)
    print(
      `Replay ${id}: ${found}, ${PER_STEP} a second. Ctrl-C leaves the rest to the app; replay --stop ends it.`,
    )
    for (let said = -1; ; await runtime.sleep(LOOK_MS)) {
      await replays.step()
      const replay = await replays.find(id)
      if (replay === undefined || replay.state !== 'running') {
        print(`${replay?.state ?? 'gone'}: ${replay?.replayed ?? 0} of ${replay?.total ?? 0}`)
        return replay?.state === 'done' ? 0 : 1
      }
      if (replay.replayed !== said) print(`${replay.replayed} of ${replay.total}`)
      said = replay.replayed
    }
  })
}

function filterOf({ state, provider, type, event, since, until }: ReplayFlags): Filter {
  if (state !== 'dead' && state !== 'ignored')
    throw new Usage('replay without an ID needs --state dead, or --state ignored.')
  const now = runtime.now()
  const moment = (name: string, text: string | undefined) => {
    const ms = readMoment(text, now)
    if (text !== undefined && ms === undefined)
      throw new Usage(`--${name} takes 30m, 2h, 1d or a moment in UTC like 2026-11-30T02:50.`)
    return ms
  }
  const [from, to] = [moment('since', since), moment('until', until)]
  return {
    state: state satisfies DeliveryState,
    ...(provider && { provider }),
    ...(type && { type }),
    ...(event && { event_id: event }),
    ...(from !== undefined && { since: from }),
    ...(to !== undefined && { until: to }),
  }
}

/** Has a delivery that is done run again. */
function replayDone(store: Store, platform: Platform, id: string, anew: boolean): Promise<number> {
  return writing(store, async query => {
    const isSo = await createInboxQueries(query, platform, runtime).again(Number(id), anew)
    const steps = anew ? 'its steps of once run again too, under new keys' : 'finished steps of once are kept'
    print(
      isSo
        ? `Delivery ${id} runs again: ${steps}. Then: npm run -s deliveries -- show ${id}`
        : `Delivery ${id} cannot run again: it is not done, or its payload is gone. Look: npm run -s deliveries -- show ${id}`,
    )
    return isSo ? 0 : 1
  })
}
