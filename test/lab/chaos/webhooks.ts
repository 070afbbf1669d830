import { randomUUID } from 'node:crypto'
import { request } from 'undici'
import { signedDelivery } from '../../helpers/webhook.ts'
import type { ArgsOf, HookType, Kind } from './draws.ts'
import type { Hook } from './record.ts'
import { watchStalled } from './stalled.ts'
import { errorOf } from './visits.ts'
import type { SignedRequest, World } from './world.ts'

/** Well outside of the five minutes, also after a slow way here. */
const FAR_MS = 400_000
/** Stands in every payload, and may stand in no log. */
export const PAYLOAD = 'payload-canary-of-a-chaos-run'

/** One webhook of this kind; what should come again is new where nothing came before. */
export async function send(world: World, { kind, type, earlier, slot }: ArgsOf<'webhook'>): Promise<void> {
  const repeats = kind === 'duplicate' || kind === 'replay'
  const before = repeats ? world.honest[earlier % Math.max(1, world.honest.length)] : undefined
  const actual = repeats && !before ? 'new' : kind
  const signed = before ?? sign(world, type, actual)
  if (actual === 'new') world.honest.push(signed)
  await post(world, actual, spoiled(signed, actual), slot)
}

export async function sendMany(world: World, count: number, slot: number): Promise<void> {
  const args = { kind: 'new', type: 'application.approved', earlier: 0, slot } as const
  await Promise.all(Array.from({ length: count }, () => send(world, args)))
}

function sign(world: World, type: HookType, kind: Kind): SignedRequest {
  const id = randomUUID()
  const person = type === 'application.approved' ? `ptp_${id}` : null
  const data = { id: `app_${id}`, participant_id: person, status: 'approved', note: PAYLOAD }
  const aheadMs = world.clock.aheadMs()
  const at = Date.now() + aheadMs + ({ stale: -FAR_MS, future: FAR_MS }[kind as string] ?? 0)
  const { body, headers } = signedDelivery({
    event: { id: `evt_${id}`, type, data },
    secret: kind === 'wrong_secret' ? 'somebody-elses-secret' : world.webhookSecret,
    at,
  })
  const mac = headers['x-revento-signature'].replace('sha256=', '')
  if (kind !== 'wrong_secret') world.secrets.set(mac, 'a signature')
  return { hook: { envelope: `evt_${id}`, type, person, aheadMs }, body, headers }
}

/** What happens to it after it was signed. */
function spoiled(signed: SignedRequest, kind: Kind): SignedRequest {
  const { body, headers } = signed
  if (kind === 'tampered')
    return { ...signed, body: Buffer.from(body.toString().replace('approved"', 'rejected"')) }
  if (kind === 'replay') return { ...signed, headers: { ...headers, 'x-revento-delivery-id': randomUUID() } }
  if (kind === 'unsigned') {
    const { 'x-revento-signature': _signature, ...rest } = headers
    return { ...signed, headers: rest }
  }
  return signed
}

async function post(
  world: World,
  kind: Kind,
  { hook, body, headers }: SignedRequest,
  asked: number,
): Promise<void> {
  const { slot, url, pid } = world.apps.url(asked)
  const [at, stalled] = [Date.now(), watchStalled(pid)]
  const seen: Pick<Hook, 'status' | 'error'> = await request(`${url}/webhooks/revento`, {
    method: 'POST',
    body,
    headers,
    dispatcher: world.agent,
    signal: AbortSignal.timeout(30_000),
  }).then(
    async answer => {
      const text = await answer.body.text()
      world.answers.push(text)
      return { status: answer.statusCode, error: errorOf(text) }
    },
    () => ({ status: null, error: null }),
  )
  world.hooks.push({ ...hook, kind, slot, at, ms: Date.now() - at, stalledMs: stalled(), ...seen })
}
