import { setTimeout as delay } from 'node:timers/promises'
import { AUTHORIZE_PATH } from '../../../src/revento/platform.ts'
import { type Client, createClient } from '../../helpers/client.ts'
import { signedDelivery } from '../../helpers/webhook.ts'
import { SECRET } from '../bench/processes.ts'
import type { Cluster } from './cluster.ts'

export const EVENTS = ['evt_test_published', 'evt_test_second'] as const

/** Consents to both events with one browser: /connect on the first process, /callback on the last. */
export async function connectAll({ apps, sandboxUrl }: Cluster): Promise<Client> {
  const client = createClient()
  for (const eventId of EVENTS) {
    const begun = await client.get(`${apps[0]?.url}/connect?event_id=${eventId}`)
    const page = await client.get(String(begun.headers['location']))
    const [, consent = ''] = /name="consent" value="([^"]+)"/.exec(page.text) ?? []
    const form = new URLSearchParams({ consent, decision: 'authorize' }).toString()
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const decided = await client.post(sandboxUrl + AUTHORIZE_PATH, form, headers)
    const { pathname, search } = new URL(String(decided.headers['location']))
    const back = await client.get(`${apps.at(-1)?.url}${pathname}${search}`)
    if (back.status !== 200) throw new Error(`/callback of ${eventId} answered ${back.status}: ${back.text}`)
  }
  return client
}

/** Every access token expires; then every process is asked for the participants of every event, at once. */
export async function expireAndAsk({ apps, sandboxUrl }: Cluster, client: Client): Promise<void> {
  await client.post(`${sandboxUrl}/console/api/expire-access-tokens`, '{}', {
    'content-type': 'application/json',
  })
  const asked = apps.flatMap(({ url }) =>
    EVENTS.map(event => client.get(`${url}/participants?event_id=${event}`)),
  )
  for (const answer of await Promise.all(asked))
    if (answer.status !== 200) throw new Error(`/participants answered ${answer.status}: ${answer.text}`)
}

export async function tokenRequests({ sandboxUrl }: Cluster, client: Client): Promise<number> {
  const list = await client.get(`${sandboxUrl}/console/api/token-requests`)
  return list.json<{ total: number }>().total
}

/** Sends each delivery to every process at once, twice; gives the envelope ids that somebody answered 200 to. */
export async function sendEverywhere(
  { apps }: Cluster,
  count: number,
  halfway: () => Promise<void>,
): Promise<Set<string>> {
  const acknowledged = new Set<string>()
  const clients = new Map(apps.map(({ url }) => [url, createClient()]))
  for (let n = 0; n < count; n++) {
    const killed = n === Math.floor(count / 2) ? halfway() : undefined
    const id = `evt_proof_${n}`
    const data = { id: `app_${n}`, participant_id: `ptp_${n}`, status: 'approved' }
    const { body, headers } = signedDelivery({ id: `proof-${n}`, event: { id, data }, secret: SECRET })
    const sent = [...clients, ...clients].map(([url, client]) =>
      client.post(`${url}/webhooks/revento`, body, headers).then(
        answer => answer.status,
        () => 0,
      ),
    )
    if ((await Promise.all(sent)).includes(200)) acknowledged.add(id)
    await killed
  }
  return acknowledged
}

/** When nothing waits or runs any more: the handler's recorded ends of each envelope. */
export async function handled(
  { database }: Cluster,
  told: (left: number) => void,
): Promise<Map<string, number>> {
  const open = `select count(*)::int n from inbox where state in ('pending', 'running')`
  for (let before = 0; ; ) {
    const left = Number((await database.query(open)).rows[0].n)
    if (left === 0) break
    if (left !== before) told(left)
    before = left
    await delay(500)
  }
  const { rows } = await database.query(`select envelope_id, count(runs.inbox_id)::int n from inbox
    left join runs on runs.inbox_id = inbox.id and runs.outcome = 'done' group by envelope_id`)
  return new Map(rows.map(row => [row.envelope_id, row.n]))
}
