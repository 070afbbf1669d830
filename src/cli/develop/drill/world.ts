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
