/** Where a fault strikes: the token endpoint, the read API, or a webhook on its way out. */
export type Door = 'token' | 'api' | 'webhook'

/** What a fault changes. Each door reads the members that concern it; several may stand together. */
export interface Effect {
  /** HTTP doors: the answer is this, and nothing is processed. */
  readonly answer?: { readonly status: number; readonly error: string; readonly retryAfterS?: number }
  /** HTTP doors: the finished answer waits that long. */
  readonly delayMs?: number
  /** HTTP doors: the finished answer is not sent, or only its first half, and the connection is cut. */
  readonly cut?: 'whole' | 'half'
  /** Webhooks: how far the signed timestamp is off. */
  readonly shiftMs?: number
  /** Webhooks: what happens to the body after it was signed. */
  readonly rewrite?: (body: string) => string
  readonly otherSecret?: true
  /** Webhooks: the same request follows once more. */
  readonly repeat?: true
  /** Webhooks: waits until another delivery has overtaken it. */
  readonly hold?: true
  /** Webhooks: comes together with others like it. */
  readonly burst?: true
}

export interface Fault {
  readonly name: string
  readonly door: Door
  readonly title: string
  /** What it does, and what a good integration does about it. */
  readonly what: string
  readonly good: string
  readonly effect: Effect
}
