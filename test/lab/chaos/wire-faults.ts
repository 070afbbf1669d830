import type { Outage, WireFault } from './draws.ts'

export interface Answer {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly body: Buffer
}

/** `instead`: Revento never sees the request. The others strike the answer of a request that was processed. */
export interface Effect {
  readonly instead?: (foreign: string) => Answer
  readonly altered?: () => Answer
  readonly half?: true
  readonly holdMs?: number
}

const answer = (status: number, headers: Answer['headers'], body: string): Answer => ({
  status,
  headers,
  body: Buffer.from(body),
})
const html = (status: number) =>
  answer(status, { 'content-type': 'text/html' }, '<h1>A proxy on the way</h1>')
const away = (foreign: string) => answer(307, { location: `${foreign}/elsewhere` }, '')

/** For as long as it lasts Revento sees no token request. */
export const OUTAGES: Record<Outage, Effect> = {
  refuse: { instead: () => html(503) },
  hang: { instead: () => html(503), holdMs: 11_000 },
  cut: { instead: () => html(200), half: true },
  html: { instead: () => html(200) },
}

export const EFFECTS: Record<WireFault, Effect> = {
  token_429: { instead: () => answer(429, { 'retry-after': '1' }, '{"error":"too_many_requests"}') },
  token_redirect: { instead: away },
  token_html: { altered: () => html(200) },
  token_gateway: { altered: () => html(502) },
  token_half: { half: true },
  // The app waits for ten.
  token_silent: { holdMs: 11_000 },
  api_redirect: { instead: away },
  api_html: { altered: () => html(200) },
  api_huge: {
    altered: () => answer(200, { 'content-type': 'application/json' }, `{"data":"${'x'.repeat(2_000_000)}"}`),
  },
}
