import type { Reply } from './browser.ts'

export const EVENT = 'evt_test_published'
export const ORGANIZATION = 'org_test_formal'

/** A delivery as it is stored in the app's database. */
export interface Row {
  readonly id: number
  readonly provider: string
  readonly delivery_id: string | null
  readonly envelope_id: string
  readonly type: string
  readonly state: string
  readonly attempts: number
  readonly received_at: number
  readonly finished_at: number | null
  readonly last_error: string | null
}

/** A delivery as the sandbox sent it. */
export interface Sent {
  readonly delivery_id: string
  readonly state: string
  readonly attempts: readonly {
    readonly status: number | null
    readonly ms: number
    readonly fault: string | null
  }[]
}

/** The rows that the handlers left in the database: as JSON, by table. */
export type Effects = ReadonlyMap<string, readonly string[]>

/** The app as `npm start` runs it, with its sandbox, in a folder of its own. */
export interface Program {
  readonly url: string
  readonly sandboxUrl: string
  readonly pid: number
  /** Its whole output since the first start in this folder. */
  log(): string
  kill(): Promise<void>
}

/** The mischief that probe.ts does to every handler. */
export type Probe = 'none' | 'throw' | 'slow' | 'hang'

/** The stage of one day: an app of its own, reached over HTTP, and its database to read. */
export interface World {
  readonly folder: string
  /** The number of webhooks that the sandbox sends by itself after a connection. */
  readonly automatic: number
  program(): Program
  start(probe?: Probe): Promise<void>
  kill(): Promise<void>
  close(): Promise<void>
  /** Connects as an organizer does. Four webhooks follow; with `quiet` the app refuses them. */
  connect(how?: 'quiet'): Promise<void>
  participants(): Promise<Reply>
  get(path: string): Promise<Reply>
  /** Calls the sandbox's console: POST with fields, GET without. */
  console<T>(path: string, fields?: object): Promise<T>
  fault(name: string, term?: { count: number; size?: number }): Promise<void>
  struck(name: string): Promise<number>
  /** The outcomes of the refreshes that reached the token endpoint. */
  refreshes(): Promise<string[]>
  /** Runs a command of this project beside the app, on its database. */
  command(path: string, args: readonly string[]): Promise<{ code: number | null; out: string }>
  rows(): Row[]
  read<T>(sql: string): T[]
  /** Waits for a condition while other days run. Fails with `what` after `ms`. */
  until<T>(
    what: string,
    ms: number,
    condition: () => Promise<T> | T,
  ): Promise<Exclude<T, false | undefined | null>>
  rest(ms: number): Promise<void>
  /** The effects of the handlers when nothing disturbs them. They are measured once for all days. */
  undisturbed(): Promise<Effects>
}

/** A bad day: something bad happens to the app, and it must come out as it should. */
export interface Day {
  readonly name: string
  readonly title: string
  /** The damage when the app fails it. */
  readonly why: string
  /** The file of this project in which to look when it fails. */
  readonly look: string
  /** The button of the sandbox's console that does the same by hand. */
  readonly fault?: string
  /** Resolves when the app passed, perhaps with a list of warnings; throws Failed with the reason, or NotHere. */
  readonly run: (world: World) => Promise<unknown>
}

/** The reason in words. `look` is the file to look into, where it is another one than the day's. */
export class Failed extends Error {
  readonly look: string | undefined
  constructor(reason: string, look?: string) {
    super(reason)
    this.name = 'Failed'
    this.look = look
  }
}

/** This system cannot make such a day. */
export class NotHere extends Error {
  override readonly name = 'NotHere'
}

/** Fails unless both are the same as JSON. */
export function expect(what: string, found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)]
  if (a !== b) throw new Failed(`${what}: ${a}, not ${b}`)
}
