import type { Reply } from './browser.ts'

export const EVENT = 'evt_test_published'
export const ORGANIZATION = 'org_test_formal'

/** A delivery as the app's database has it. */
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

/** What the sandbox knows of a delivery it sent. */
export interface Sent {
  readonly delivery_id: string
  readonly state: string
  readonly attempts: readonly {
    readonly status: number | null
    readonly ms: number
    readonly fault: string | null
  }[]
}

/** What the handlers left in the database: rows as JSON, by table. */
export type Effects = ReadonlyMap<string, readonly string[]>

/** The app as `npm start` runs it, with its sandbox, in a folder of its own. */
export interface Program {
  readonly url: string
  readonly sandboxUrl: string
  readonly pid: number
  /** Everything it printed since the first start in this folder. */
  log(): string
  kill(): Promise<void>
}

/** What the drill does to the handlers; see probe.ts. */
export type Probe = 'throw' | 'slow' | 'hang'

/** The stage of one day: an app of its own, reached as everybody reaches it, and its database, to look at. */
export interface World {
  readonly folder: string
  /** How many webhooks the sandbox sends of itself after a connection. */
  readonly told: number
  program(): Program
  start(probe?: Probe): Promise<void>
  kill(): Promise<void>
  close(): Promise<void>
  /** As an organizer does it. The event's story follows in four webhooks; `quiet`: they are refused at the door. */
  connect(how?: 'quiet'): Promise<void>
  participants(): Promise<Reply>
  get(path: string): Promise<Reply>
  /** The sandbox's console: POST with fields, GET without. */
  console<T>(path: string, fields?: object): Promise<T>
  fault(name: string, term?: { count: number; size?: number }): Promise<void>
  struck(name: string): Promise<number>
  /** Outcomes of the refreshes that reached the token endpoint. */
  refreshes(): Promise<string[]>
  rows(): Row[]
  read<T>(sql: string): T[]
  /** Waits for a condition while others are at work. Fails with `what` after `ms`. */
  until<T>(
    what: string,
    ms: number,
    condition: () => Promise<T> | T,
  ): Promise<Exclude<T, false | undefined | null>>
  rest(ms: number): Promise<void>
  /** What the handlers leave behind when nothing disturbs them; the same promise for every day. */
  undisturbed(): Promise<Effects>
}

/** A bad day: what happens to the app, and what must come of it. */
export interface Day {
  readonly name: string
  readonly title: string
  /** What it costs when it goes wrong. */
  readonly why: string
  /** Where to look when it fails: a file of this project. */
  readonly look: string
  /** The button of the sandbox's console that does the same by hand. */
  readonly fault?: string
  /** Resolves when everything was as it must be; throws Failed with the reason, or NotHere. */
  readonly run: (world: World) => Promise<void>
}

/** The reason in words, and the file it points to where that is another one than the day's. */
export class Failed extends Error {
  readonly look: string | undefined
  constructor(reason: string, look?: string) {
    super(reason)
    this.name = 'Failed'
    this.look = look
  }
}

/** This system has no way to make such a day. */
export class NotHere extends Error {
  override readonly name = 'NotHere'
}

/** Compares as JSON, so that numbers, texts and lists do alike. */
export function expect(what: string, found: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)]
  if (a !== b) throw new Failed(`${what}: ${a}, not ${b}`)
}
