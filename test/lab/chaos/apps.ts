import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Child, isOk, launch } from '../../helpers/stage.ts'
import type { End, Span } from './record.ts'

/** The processes of one run: two at most, in slots 0 and 1, each with its port for good. */
export interface Apps {
  readonly spans: Span[]
  readonly ends: End[]
  isUp(slot: number): boolean
  /** The one that was asked for where it is up, else the other. */
  url(slot: number): { slot: number; url: string; pid: number }
  start(slot: number): Promise<void>
  end(slot: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Whatever is left. */
  clear(): Promise<void>
}

interface Up {
  readonly child: Child
  readonly from: number
  /** Resolves when its end is noted too. */
  readonly ended: Promise<void>
  told: { signal: 'SIGTERM' | 'SIGKILL'; at: number } | null
}

/** Long: a machine that starves it is not what is tried here. */
const START_MS = 120_000
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export function createApps(o: {
  folder: string
  ports: readonly number[]
  env: (slot: number) => Record<string, string>
  /** A start that meets a dead database ends, as it should; then it is tried again. */
  storeIsUp: () => boolean
}): Apps {
  const spans: Span[] = []
  const ends: End[] = []
  const up = new Map<number, Up>()
  const queues = new Map<number, Promise<void>>()
  const origin = (slot: number) => `http://127.0.0.1:${o.ports[slot]}`

  const logFile = (slot: number) => join(o.folder, `app${slot}.log`)
  const tail = (slot: number) => readFileSync(logFile(slot), 'utf8').slice(-500)

  /** What concerns one slot happens one after the other. */
  function inTurn(slot: number, work: () => Promise<void>): Promise<void> {
    const next = (queues.get(slot) ?? Promise.resolve()).catch(() => {}).then(work)
    queues.set(slot, next)
    return next
  }

  async function start(slot: number): Promise<void> {
    const giveUpAt = Date.now() + START_MS
    while (!up.has(slot)) {
      if (Date.now() > giveUpAt)
        throw new Error(`process ${slot} was not up within two minutes: ${tail(slot)}`)
      if (o.storeIsUp()) await attempt(slot)
      else await delay(100)
    }
  }

  async function attempt(slot: number): Promise<void> {
    const child = launch(['--import', file('handlers.ts'), file('../../../src/main.ts')], {
      cwd: o.folder,
      env: o.env(slot),
      log: logFile(slot),
    })
    const begun = Date.now()
    let storeFell = false
    const ended = child.ended.then(() => {
      const { exitCode: code, signalCode: signal } = child.process
      const one = up.get(slot)
      up.delete(slot)
      const at = Date.now()
      const told = one?.told ?? null
      if (one && !told) spans.push({ slot, from: one.from, to: at })
      // Before it was up, and without its database: it says so and ends.
      if (one || !storeFell)
        ends.push({ slot, told: told?.signal ?? null, code, signal, ms: told ? at - told.at : 0, at })
    })
    while (child.isRunning()) {
      storeFell ||= !o.storeIsUp()
      if (await isOk(`${origin(slot)}/health`))
        return void up.set(slot, { child, from: Date.now(), ended, told: null })
      if (Date.now() - begun > START_MS) child.process.kill('SIGKILL')
      await delay(20)
    }
    await ended
    if (!storeFell) throw new Error(`process ${slot} ended at its start: ${tail(slot)}`)
  }

  async function end(slot: number, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const one = up.get(slot)
    if (!one) return
    one.told = { signal, at: Date.now() }
    spans.push({ slot, from: one.from, to: one.told.at })
    one.child.process.kill(signal)
    await one.ended
  }

  return {
    spans,
    ends,
    isUp: slot => up.has(slot) && up.get(slot)?.told === null,
    url(slot) {
      const found = up.get(slot)?.told === null || !up.has(1 - slot) ? slot : 1 - slot
      return { slot: found, url: origin(found), pid: up.get(found)?.child.pid ?? 0 }
    },
    start: slot => inTurn(slot, () => start(slot)),
    end: (slot, signal) => inTurn(slot, () => end(slot, signal)),
    async clear() {
      await Promise.all([0, 1].map(slot => inTurn(slot, () => end(slot, 'SIGKILL'))))
    },
  }
}
