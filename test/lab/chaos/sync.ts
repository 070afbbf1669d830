import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { launch } from '../../helpers/stage.ts'
import { EVENT, type World } from './world.ts'

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))
/** The sandbox's own story after a connect, and the moment that a page's time may be off. */
const STORY_MS = 8_000
const PATIENCE_MS = 240_000

/** The operator's command, on the machine of the app; ended from outside when its time is over. */
export async function runSync(world: World, until: AbortSignal, signal: 'SIGINT' | 'SIGKILL') {
  const child = launch(['--import', file('handlers.ts'), file('../../../src/cli/operate/sync.ts'), EVENT], {
    cwd: world.folder,
    env: world.command.env,
  })
  const end = () => void child.stop(signal)
  until.addEventListener('abort', end)
  const code = await child.ended
  until.removeEventListener('abort', end)
  return { code, printed: child.output.out + child.output.err }
}

/** Comparisons under way, and deliveries that have not run or whose process was killed: they may bring somebody new. */
const OPEN = `select (select count(*) from sync_runs where finished_at is null)
  + (select count(*) from outcomes where state = 'running' or state = 'pending' and attempts = 0) as n`
const HERE = `select participant_id, name, application_status from participants
  where event_id = '${EVENT}' and gone_at is null`

/** When nobody comes, goes or changes any more, one comparison makes the copy the list. Says where they differ. */
export async function mirrored(world: World): Promise<string[]> {
  const giveUpAt = Date.now() + PATIENCE_MS
  await delay(STORY_MS)
  while (Number((await world.store.read<{ n: number }>(OPEN))[0]?.n) > 0) {
    if (Date.now() > giveUpAt) return ['a comparison or a delivery did not end within four minutes']
    await delay(200)
  }
  const { code, printed } = await runSync(world, AbortSignal.timeout(PATIENCE_MS), 'SIGKILL')
  if (code !== 0) return [`the comparison ended with ${code}: ${printed.slice(-500)}`]
  const listed = (await everybody(world)).map(
    row => `${row['id']} ${row['name']} ${row['application_status']}`,
  )
  const stored = (await world.store.read<Record<string, unknown>>(HERE)).map(
    row => `${row['participant_id']} ${row['name']} ${row['application_status']}`,
  )
  const differing = [...new Set(listed).symmetricDifference(new Set(stored))]
  return differing.length === 0 ? [] : [`the copy is not the list: ${differing.slice(0, 6).join('; ')}`]
}

const everybody = async (world: World) =>
  (await world.console<{ data: Record<string, unknown>[] }>(`/people?event_id=${EVENT}`)).data

/** Those of whom handlers were told that they had gone, and who are in the list. Nobody who has left comes back. */
export async function toldGone(world: World): Promise<string[]> {
  const rows = await world.store.read<{ body: Uint8Array }>(
    `select body from inbox where provider = 'sync' and type = 'participant.removed' and body is not null`,
  )
  const told = rows.map(({ body }) => JSON.parse(Buffer.from(body).toString()).data.participant_id as string)
  const here = new Set((await everybody(world)).map(row => row['id']))
  return told.filter(id => here.has(id))
}
