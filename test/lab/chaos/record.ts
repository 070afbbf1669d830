import type { Setting } from './clock.ts'
import type { Kind } from './draws.ts'

/** Everything that was seen of one run; the rules judge this and nothing else. Times in ms since 1970. */
export interface Sighting {
  /** Processes of the app while they were up: from ready to the moment they were told to end. */
  readonly spans: readonly Span[]
  readonly ends: readonly End[]
  readonly hooks: readonly Hook[]
  readonly visits: readonly Visit[]
  readonly tokenCalls: readonly TokenCall[]
  /** Connections that ended at a refresh, as the app's log tells it. */
  readonly endings: readonly { at: number; reason: string }[]
  /** The most API calls that were under way at once, by process and token. */
  readonly inFlight: readonly { slot: number; most: number }[]
  /** How often Revento itself said that its limit was used up. */
  readonly overLimit: number
  /** People of whom handlers were told that they had gone, and who are there. */
  readonly toldGone: readonly string[]
  /** Requests that reached the host where nothing may be sent. */
  readonly foreign: readonly string[]
  /** Secrets that were found where none may be. */
  readonly leaks: readonly { name: string; encoding: string; place: string }[]
  readonly rows: readonly Row[]
  /** The clock of the app's machine. */
  readonly clock: readonly Setting[]
  /** Recorded ends of runs. */
  readonly tries: readonly { inbox: number; outcome: string }[]
  /** Runs of handlers, as the handlers themselves noted them. */
  readonly runs: readonly Run[]
  /** Ids of participants that the handlers wrote. */
  readonly people: readonly string[]
  /** After everything, with every fault over: what still did not work. */
  readonly unrecovered: readonly string[]
  /** The operator's command, where it broke off. */
  readonly commands: readonly { args: string; code: number | null; printed: string }[]
}

export interface Span {
  readonly slot: number
  readonly from: number
  readonly to: number
}

export interface End {
  readonly slot: number
  /** The signal it was sent; null: nobody told it. */
  readonly told: 'SIGTERM' | 'SIGKILL' | null
  readonly code: number | null
  readonly signal: string | null
  readonly ms: number
  readonly at: number
}

export interface Answered {
  readonly slot: number
  readonly at: number
  readonly ms: number
  /** Of these, how many the app and whoever asked it stood in line for a processor: see stalled.ts. */
  readonly stalledMs: number
  /** Null: none came. */
  readonly status: number | null
  /** The error code of the body, where it has one. */
  readonly error: string | null
}

export interface Hook extends Answered {
  readonly kind: Kind
  readonly envelope: string
  readonly type: string
  /** The participant that its handler writes; null where it writes none. */
  readonly person: string | null
  /** How far ahead the clock was by which it was signed. */
  readonly aheadMs: number
}

export interface Visit extends Answered {
  readonly what: 'connect' | 'callback' | 'participants'
  /** Of a callback: the flow it belongs to. */
  readonly state?: string
}

export interface TokenCall {
  readonly grant: 'authorization_code' | 'refresh_token' | 'other'
  /** Of the code or the refresh token that was presented. */
  readonly fingerprint: string
  readonly from: number
  readonly to: number
  /** Revento may have acted on it, whatever the app heard. */
  readonly processed: boolean
  /** What the app heard; `lost`: nothing it could use. */
  readonly answer: 'tokens' | 'rejected' | 'refused' | 'lost'
}

export interface Row {
  readonly id: number
  readonly envelope: string
  readonly type: string
  readonly state: string
  readonly error: string | null
  readonly hasBody: boolean
}

/** `to` is null where its process ended first. */
export interface Run {
  readonly inbox: number
  readonly from: number
  readonly to: number | null
  readonly ok: boolean
}
