/**
 * A provider is whoever sends webhooks. What its documentation says about signing is data, one file each in
 * `providers/`; `signature.ts` reads that data to sign and to verify, the same way for all of them.
 */
export interface Provider {
  readonly name: string
  readonly signature: {
    /** Lower-case header name. */
    readonly header: string
    /** Stands before the encoded MAC, e.g. `sha256=`. */
    readonly prefix: string
    readonly algorithm: 'sha256' | 'md5'
    readonly encoding: 'hex' | 'base64'
  }
  readonly timestamp?: {
    readonly header: string
    /** The only accepted form; the header's exact text is what is signed. */
    readonly form: RegExp
    /** Milliseconds since 1970 for a text that has the form. */
    readonly toMs: (text: string) => number
    /** How far the sender's clock may be from ours, both ways. */
    readonly windowMs: number
  }
  /** What is signed before the raw body bytes, given the timestamp's exact text ('' without one). */
  readonly signedPrefix: (timestamp: string) => string
  /** Header with the delivery's id, where the sender has one; it may be unsigned. */
  readonly deliveryIdHeader?: string
  /** Header that repeats the event type; unsigned, so only ever compared. */
  readonly typeHeader?: string
  /** Media types taken; anything else is 415. */
  readonly contentTypes: readonly string[]
  /** Reads the verified, parsed body. Undefined: not an envelope of this provider. */
  readonly read: (body: unknown) => Envelope | undefined
}

/** What the inbox needs to know of a verified body, whatever the provider calls it. */
export interface Envelope {
  /** The signed id: a replay under a new delivery id still carries it. */
  readonly id: string
  readonly type: string
  readonly eventId: string | null
  readonly organizationId: string | null
}

/** The previous secret is accepted too while the sender rotates. */
export interface Secrets {
  readonly current: string
  readonly previous?: string | undefined
}
