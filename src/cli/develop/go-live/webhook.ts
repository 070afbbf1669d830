import { revento } from '../../../webhooks/providers/revento.ts'
import { SELF_TEST } from '../../../webhooks/verify/provider.ts'
import { signedHeaders } from '../../../webhooks/verify/send.ts'
import { appAddress, STALE_MS } from '../../network.ts'
import { reading } from '../../store.ts'
import { type Answered, ask, check, type Finding, type Scene, type Unanswered } from './scene.ts'

const RECORDED_MS = 10_000

/** The results of the requests to the public webhook URL, which the checklist cites. */
export interface Delivered {
  readonly findings: readonly Finding[]
  readonly refusesUnsigned: boolean
  readonly refusesWrong: boolean
  readonly refusesStale: boolean
  readonly acknowledgedMs: number | undefined
  readonly repeated: boolean
}

/** A body whose whitespace, escapes and numbers no proxy keeps that writes JSON anew. No handler has its type, so it is only stored. */
const oddBody = (id: string, at: number) =>
  Buffer.from(
    `{ "id" :"evt_delivery_${id}",\r\n\t"type":"${SELF_TEST}", "occurred_at":"${new Date(at).toISOString()}" ,
 "event_id":null,"organization_id":null,"data":{"text":"Zo\\u00eb Zoë 李小龙 \u{1d11e}\u2028","n":1.00,"e":1e2 ,"s":"<&\\/>"} }\r\n `,
  )

type Sent = Answered | Unanswered
const statusOf = (sent: Sent) => ('status' in sent ? sent.status : undefined)

/** Signs as Revento does and sends through the public URL: twice as it should be, then in three ways that must fail. */
export async function webhook(scene: Scene): Promise<Delivered> {
  const { config, runtime } = scene
  const url = `${config.origin}/webhooks/revento`
  const id = runtime.uuid()
  const body = oddBody(id, runtime.now())
  const send = (change: { secret?: string; at?: number; to?: string } = {}) => {
    const { secret = config.webhookSecrets.current, at = runtime.now(), to = url } = change
    const headers = signedHeaders({ provider: revento, secret, body, type: SELF_TEST, deliveryId: id, at })
    return ask(scene, to, { method: 'POST', headers, body })
  }
  const first = await send()
  const again = await send()
  const wrong = await send({ secret: runtime.uuid() })
  const stale = await send({ at: runtime.now() - STALE_MS })
  const unsigned = await ask(scene, url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  const taken = statusOf(first) === 200
  const states = taken ? await recorded(scene, id) : undefined
  const direct = taken ? undefined : await send({ to: `${appAddress(config)}/webhooks/revento` })
  return {
    findings: [bodyFinding(url, first, direct), refusals([wrong, stale, unsigned]), record(states, taken)],
    refusesUnsigned: statusOf(unsigned) === 401,
    refusesWrong: statusOf(wrong) === 401,
    refusesStale: statusOf(stale) === 401,
    acknowledgedMs: taken && 'ms' in first ? Math.round(first.ms) : undefined,
    repeated: statusOf(again) === 200 && states?.join() === 'ignored,duplicate',
  }
}

/** Judges the body. The same delivery past the proxy shows whether a refusal is the proxy's fault. */
function bodyFinding(url: string, sent: Sent, direct: Sent | undefined): Finding {
  const { ok, failed } = check('webhook body')
  if ('reason' in sent) return failed(`${url}: no answer (${sent.reason})`, sent.todo)
  if (sent.status === 200)
    return ok(`odd whitespace, escapes and Unicode reach the app unchanged, in ${Math.round(sent.ms)} ms`)
  const past = direct && statusOf(direct)
  if (sent.status === 401 && past === 200)
    return failed(
      'the signature holds past the proxy and not through it: the proxy changes the body, or drops X-Revento- headers',
      'Turn off whatever reads or rewrites bodies in the proxy (JSON filters, firewalls that normalise).',
    )
  if (sent.status === 401)
    return failed(
      'the running app does not accept the signature of these settings',
      'Give the app the same REVENTO_WEBHOOK_SECRET, and restart it.',
    )
  return failed(
    `POST ${url} is answered ${sent.status}`,
    'Have the proxy pass POST on as it is, up to 256 KiB.',
  )
}

function refusals(sent: readonly Sent[]): Finding {
  const { ok, failed } = check('webhook refusals')
  const statuses = sent.map(statusOf)
  if (statuses.every(status => status === 401))
    return ok('wrong, stale and missing signatures are answered 401')
  return failed(
    `wrong, stale and missing signatures are answered ${statuses.map(status => status ?? 'nothing').join(', ')}`,
    'All have to be 401 from this app: let nothing between answer in its place.',
  )
}

function record(states: readonly string[] | undefined, taken: boolean): Finding {
  const { ok, failed, unsure } = check('webhook stored')
  if (!taken) return failed('nothing was taken', 'See "webhook body".')
  if (states === undefined)
    return unsure(
      'the delivery is not in the database of these settings',
      'Run this where the app runs, with its DATABASE_URL.',
    )
  if (states.join() === 'ignored,duplicate')
    return ok('recorded once, as ignored; the repeat as its duplicate')
  return failed(`recorded as ${states.join(', ')}`, 'Look at it: npm run -s deliveries -- list')
}

/** The states of both deliveries, once the dispatcher has settled them. Undefined: they are not in this database. */
async function recorded({ config, runtime }: Scene, id: string): Promise<string[] | undefined> {
  return reading(config.store, async query => {
    const giveUpAt = runtime.monotonic() + RECORDED_MS
    for (;;) {
      const rows = await query
        .selectFrom('inbox')
        .select('state')
        .where('envelope_id', '=', `evt_delivery_${id}`)
        .orderBy('id')
        .execute()
      const states = rows.map(({ state }) => String(state))
      if (states.length === 0) return undefined
      if (!states.includes('pending') || runtime.monotonic() > giveUpAt) return states
      await runtime.sleep(100)
    }
  })
}
