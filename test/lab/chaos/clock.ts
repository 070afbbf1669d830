import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** The wall clock of the machine that the app's processes run on; see skewed.ts. The rules judge by the real one. */
export interface Clock {
  /** From when on (ms, real) it was how far ahead. */
  readonly settings: readonly Setting[]
  aheadMs(): number
  set(aheadMs: number): void
}

export interface Setting {
  readonly from: number
  readonly aheadMs: number
}

export function createClock(folder: string): Clock {
  const path = join(folder, CLOCK_FILE)
  const settings: Setting[] = []
  const set = (aheadMs: number) => {
    const file = openSync(path, settings.length === 0 ? 'w' : 'r+')
    writeSync(file, new Float64Array([aheadMs]))
    closeSync(file)
    settings.push({ from: Date.now(), aheadMs })
  }
  set(0)
  return { settings, set, aheadMs: () => settings.at(-1)?.aheadMs ?? 0 }
}

/** In the working directory of the app: a double, read anew for each moment, so that a jump reaches all at once. */
export const CLOCK_FILE = 'clock'

export function skewDate(): void {
  const file = openSync(CLOCK_FILE, 'r')
  const ahead = new Float64Array(1)
  const real = Date.now
  Date.now = () => {
    readSync(file, ahead, 0, ahead.byteLength, 0)
    return real() + (ahead[0] ?? 0)
  }
}

/** What the clock showed at any moment between the two. */
export const shownBetween = (settings: readonly Setting[], from: number, to: number): number[] =>
  settings
    .filter((setting, n) => setting.from <= to && (settings[n + 1]?.from ?? Number.POSITIVE_INFINITY) >= from)
    .map(({ aheadMs }) => aheadMs)

/** A moment that a process noted by its clock, as it really was. */
export const realTime = (settings: readonly Setting[], noted: number): number =>
  settings
    .map(({ aheadMs }) => ({ at: noted - aheadMs, aheadMs }))
    // The last setting holds for ever, but nothing was noted after now.
    .filter(({ at }) => at <= Date.now() + SLACK_MS)
    .find(({ at, aheadMs }) => shownBetween(settings, at - SLACK_MS, at + SLACK_MS).includes(aheadMs))?.at ??
  noted

/** Between reading the clock here and there; the jumps are far longer. */
const SLACK_MS = 1_000
