import type { Reply } from '../../../src/cli/develop/drill/browser.ts'
import { AUTHORIZE_PATH } from '../../../src/revento/platform.ts'
import type { Visit } from './record.ts'
import { watchStalled } from './stalled.ts'
import { EVENT, type World } from './world.ts'

/** Where the consent page sent the browser to. */
export type WayBack = string

/** Says yes or no on the consent page; undefined where a fault was in the way. */
export async function connect(
  world: World,
  asked: number,
  decision: 'authorize' | 'deny' | 'stop' = 'authorize',
): Promise<WayBack | undefined> {
  const begun = await visit(world, 'connect', asked, `/connect?event_id=${EVENT}`)
  const location = locationOf(begun)
  if (!location || decision === 'stop') return undefined
  world.secrets.set(new URL(location).searchParams.get('state') ?? '', 'a state')
  const consent = await world.browser.get(location).catch(() => undefined)
  const [, id = ''] = /name="consent" value="([^"]+)"/.exec(consent?.text ?? '') ?? []
  const form = new URLSearchParams({ consent: id, decision }).toString()
  const decided = await world.browser
    .post(`${world.sandboxUrl}${AUTHORIZE_PATH}`, form)
    .catch(() => undefined)
  return locationOf(decided)
}

/** Brings the code to any process. */
export function redeem(world: World, way: WayBack, slot: number): Promise<Reply | undefined> {
  const { pathname, search, searchParams } = new URL(way)
  return visit(world, 'callback', slot, pathname + search, searchParams.get('state') ?? '')
}

export const participants = (world: World, slot: number): Promise<Reply | undefined> =>
  visit(world, 'participants', slot, `/participants?event_id=${EVENT}&limit=2`)

async function visit(world: World, what: Visit['what'], asked: number, path: string, state?: string) {
  const { slot, url, pid } = world.apps.url(asked)
  const [at, stalled] = [Date.now(), watchStalled(pid)]
  const reply = await world.browser.get(url + path, { accept: 'application/json' }).catch(() => undefined)
  world.visits.push({
    what,
    slot,
    at,
    ms: Date.now() - at,
    stalledMs: stalled(),
    status: reply?.status ?? null,
    error: errorOf(reply?.text),
    ...(state === undefined ? {} : { state }),
  })
  if (reply) world.answers.push(reply.text)
  return reply
}

/** The code of an answer that is an error. */
export function errorOf(text: string | undefined): string | null {
  try {
    const { error } = JSON.parse(text ?? '') as { error?: unknown }
    return typeof error === 'string' ? error : null
  } catch {
    return null
  }
}

function locationOf(reply: Reply | undefined): string | undefined {
  const location = reply?.headers['location']
  return typeof location === 'string' && URL.canParse(location) ? location : undefined
}
