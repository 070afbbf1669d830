import type { ErrorCode } from '../../http/errors.ts'

/**
 * A provider is whoever sends webhooks. What its documentation says about signing and answering is data, one file each
 * in `providers/`; `signature.ts` reads that data to sign and to verify, the same way for all of them.
 */
export interface Provider {
  /** Also the last part of its route: /webhooks/<name>. */
  readonly name: string
  readonly secret: SecretForm
  readonly signature: {
    /** Lower-case header name. */
    readonly header: string
    /** Stands before the encoded MAC, e.g. `sha256=`. */
    readonly prefix: string
    readonly algorithm: 'sha256' | 'md5'
    readonly encoding: 'hex' | 'base64'
    /** The header may hold several, with one space between; one that matches is enough. */
    readonly list?: true
    /**
     * The header holds pairs with a comma between, `t=1764460800,v1=…`: the timestamp, whose pair begins with this text, and
     * signatures. One that matches is enough, and pairs of other names are passed over.
     */
    readonly pairs?: { readonly timestamp: string }
  }
  /** Before the raw body bytes: `start` as it stands here, then the exact texts of these headers, each followed by the separator. */
  readonly signed: {
    readonly start?: string
    readonly parts: readonly ('id' | 'timestamp')[]
    readonly separator: string
  }
  readonly timestamp?: TimestampForm
  /** Header with the delivery's id, where the sender has one. It is unsigned unless `signed` names it. */
  readonly deliveryIdHeader?: string
  /** Header that repeats the event type; unsigned, so only ever compared. */
  readonly typeHeader?: string
  /**
   * Header that alone names the event type, for a sender that signs none: `read` finds it as `unsignedType`. Whoever can
   * replay a body can give it another type, so handlers of this sender must not rely on it for anything that matters.
   */
  readonly unsignedTypeHeader?: string
  /** The documented content type; any other is answered 415 unless `anyContentType` is set. Left out where none is sent. */
  readonly contentType?: string
  /** Any content type is accepted, for senders that send none or do not document it. */
  readonly anyContentType?: true
  /** Whether the body has to be JSON; otherwise any bytes are stored. */
  readonly body: 'json' | 'bytes'
  /** The answer to a wrong signature. */
  readonly refusal: { readonly status: number; readonly code: ErrorCode }
  /** The answer to a stored delivery: a text, or an object that is sent as JSON. */
  readonly accepted: string | object
  /** The status of that answer; 200 where it is left out. */
  readonly acceptedStatus?: 201 | 202 | 204
  /** The handler's result is the answer: it runs while the sender waits. The envelope then has an `answerKey`. */
  readonly inline?: true
  /** Reads the verified body. Undefined: not an envelope of this provider. */
  readonly read: (received: Received) => Envelope | undefined
  /** The documented types, the first one being what `npm run trigger` sends when none is named. */
  readonly types: readonly [string, ...string[]]
  /** Other types than those come too: the sender lets its users name them, or does not document them. */
  readonly openTypes?: true
  /** The member of a body that holds what happened, for `npm run trigger -- … --data`. */
  readonly dataMember?: string
  /** A body as this sender would write it. `at` in milliseconds since 1970. */
  readonly example: (draft: { type: string; id: string; at: number }) => string
}

export interface TimestampForm {
  /** The timestamp's header: the signature's own where that holds pairs. */
  readonly header: string
  /** The only accepted form; the header's exact text is what is signed. */
  readonly form: RegExp
  /** Milliseconds since 1970 for a text that has the form. */
  readonly toMs: (text: string) => number
  /** What a sender writes at that moment. */
  readonly fromMs: (ms: number) => string
  /** How far the sender's clock may be from ours, both ways. Undefined: not judged. */
  readonly windowMs: number | undefined
}

interface SecretForm {
  /** The variable that turns the provider on; `<name>_PREVIOUS` holds the one before, while the sender rotates. */
  readonly variable: `${string}_WEBHOOK_SECRET`
  readonly form: string
  /** What to type. */
  readonly says: string
  /** A secret known to everybody: used with the sandbox, and refused everywhere else. */
  readonly sandbox: string
  /** The key bytes, where they are not the secret's own. */
  readonly toKey?: (secret: string) => Buffer
}

/** The type of the event that go-live sends to the app itself: it shows nothing about the sender. */
export const SELF_TEST = 'starter.go_live'

/** 8 to 512 visible characters, as the other secrets of this app. */
export const SECRET_FORM = '^[!-~]{8,512}$'

export interface Received {
  /** The parsed body; undefined where `body` is `bytes`. */
  readonly json: unknown
  /** The delivery id as it stands in its header. */
  readonly deliveryId: string | null
  /** What `unsignedTypeHeader` says; null without. */
  readonly unsignedType: string | null
  /** SHA-256, in hex, of the bytes that were signed: for senders whose deliveries have no id. */
  readonly fingerprint: () => string
}

/** What the inbox needs to know of a verified body, whatever the provider calls it. */
export interface Envelope {
  /** The signed id: a replay under a new delivery id still carries it. */
  readonly id: string
  readonly type: string
  /** Ids of Revento; null for other providers. */
  readonly eventId: string | null
  readonly organizationId: string | null
  /** Inline only: requests with the same key get the same answer. */
  readonly answerKey?: string
}

/** The previous secret is accepted too while the sender rotates. */
export interface Secrets {
  readonly current: string
  readonly previous?: string | undefined
}

const VISIBLE = /^[\x21-\x7e]{1,200}$/
/** An id or a type: 1 to 200 visible ASCII characters. */
export const isName = (value: unknown): value is string => typeof value === 'string' && VISIBLE.test(value)

/** The members of a JSON object; none for anything else. */
export const membersOf = (json: unknown): Readonly<Record<string, unknown>> =>
  typeof json === 'object' && json !== null && !Array.isArray(json) ? { ...json } : {}

export const unixSeconds = (header: string, windowMs: number | undefined): TimestampForm => ({
  header,
  form: /^\d{10}$/,
  toMs: text => Number(text) * 1000,
  fromMs: ms => String(Math.floor(ms / 1000)),
  windowMs,
})
