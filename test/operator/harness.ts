import { expect } from 'vitest'
import type { Queries } from '../../src/storage/database.ts'
import { type Client, createClient, type Reply } from '../helpers/client.ts'
import { insertDeliveries, type NewRow } from '../helpers/deliveries.ts'
import { BROWSER, EVENT, type Pair, type PairOptions, startPair } from '../oauth/harness.ts'

export const TOKEN = 'operator-token-for-tests-0123456789'

export const startOperated = (o: PairOptions = {}) =>
  startPair({ ...o, env: { OPERATOR_TOKEN: TOKEN, ...o.env } })

/** A form as a browser sends it from a page of ours. */
export const post = (
  { app }: Pick<Pair, 'app'>,
  client: Client,
  path: string,
  fields: Record<string, string> = {},
  headers: Record<string, string> = {},
): Promise<Reply> =>
  client.post(app.url + path, new URLSearchParams(fields).toString(), {
    ...BROWSER,
    'content-type': 'application/x-www-form-urlencoded',
    'sec-fetch-site': 'same-origin',
    ...headers,
  })

export interface OperatorClient {
  readonly client: Client
  get(path: string): Promise<Reply>
  /** Posts a form with the form token of a page. */
  press(path: string, fields?: Record<string, string>): Promise<Reply>
}

export async function signIn(pair: Pick<Pair, 'app'>): Promise<OperatorClient> {
  const client = createClient()
  expect((await post(pair, client, '/operator/sign-in', { token: TOKEN })).status).toBe(303)
  const get = (path: string) => client.get(pair.app.url + path, BROWSER)
  const [, form_token = ''] = /name="form_token" value="([^"]+)"/.exec((await get('/operator')).text) ?? []
  return { client, get, press: (path, fields = {}) => post(pair, client, path, { form_token, ...fields }) }
}

export type InboxRow = NewRow

export const row = (n: number, change: Partial<InboxRow> = {}): InboxRow => ({
  provider: 'revento',
  delivery_id: `delivery-${n}`,
  envelope_id: `envelope-${n}`,
  type: 'application.approved',
  event_id: EVENT,
  organization_id: 'org_test_formal',
  state: 'done',
  attempts: 1,
  next_at: 0,
  received_at: Date.now() - 60_000 + n,
  finished_at: Date.now(),
  last_error: null,
  body: Buffer.from(JSON.stringify({ id: `envelope-${n}`, type: 'application.approved', data: {} })),
  platform: 'real',
  ...change,
})

/** Stores rows of the inbox as they would stand there later. */
export async function stored(query: Queries, rows: readonly InboxRow[]): Promise<number[]> {
  const ids: number[] = []
  for (let n = 0; n < rows.length; n += 500)
    ids.push(...(await insertDeliveries(query, rows.slice(n, n + 500))))
  return ids
}
