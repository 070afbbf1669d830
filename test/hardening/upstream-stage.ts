import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { onTestFinished } from 'vitest'
import { createClient, type Reply, stateOf } from '../helpers/client.ts'
import { makeFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { type Program, startProgram } from '../helpers/program.ts'
import { emptyPage, tokens } from '../helpers/upstream.ts'
import { type Heard, type HostileServer, hostileServer, type Wire } from './hostile-server.ts'
import { http } from './upstream-wires.ts'

export const SECRET = 'client-secret-that-only-one-host-may-hear'

/** Where a pass meets its row: at the code exchange, at a refresh, or at the API. */
export type Meets = 'exchange' | 'refresh' | 'api'

/** The real program between a browser and a Revento that answers as a row says; and a host that must hear nothing. */
export interface Stage {
  readonly program: Program
  readonly revento: HostileServer
  readonly foreign: HostileServer
  readonly metricsUrl: string
  /** One organizer with an event of its own, up to and beyond where it meets the row. */
  pass(meets: Meets, row: (event: string) => Wire): Promise<Passed>
}

export interface Passed {
  readonly event: string
  /** The answer of /callback, or of /participants. */
  readonly reply: Reply
  readonly ms: number
}

export async function startStage(
  env: (revento: HostileServer, foreign: HostileServer) => Record<string, string>,
): Promise<Stage> {
  const rows = new Map<string, { meets: Meets; wire: Wire; connected: boolean }>()
  const foreign = await hostileServer(() => http(200, '{}'))
  const revento = await hostileServer(heard => answer(heard))
  let passes = 0

  function answer(heard: Heard): Wire {
    const event = eventOf(heard)
    const row = rows.get(event)
    const at = meeting(heard)
    if (!row) return http(500, '{}')
    if (row.meets === at && (at !== 'api' || row.connected)) return row.wire
    if (at === 'api' && row.connected) return http(401, '{"error":"token_expired"}')
    return http(200, JSON.stringify(at === 'api' ? emptyPage : pairFor(event)))
  }

  const metricsPort = String(await freePort())
  const folder = makeFolder({ inMemory: true })
  onTestFinished(folder.remove)
  const settings = {
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: SECRET,
    REVENTO_WEBHOOK_SECRET: 'whsec_test_0123456789abcdef',
    REVENTO_AUTH_BASE: revento.base,
    REVENTO_API_BASE: `${revento.base}/api/v1`,
    // Each organizer has an address of its own, so that none meets the limit of /connect.
    TRUST_PROXY: '127.0.0.1',
    METRICS_PORT: metricsPort,
    ...env(revento, foreign),
  }
  const program = await startProgram(settings, folder.path)
  onTestFinished(async () => void (await program.stop()))

  async function pass(meets: Meets, wireFor: (event: string) => Wire): Promise<Passed> {
    passes += 1
    const event = `evt_${passes}`
    const row = { meets, wire: wireFor(event), connected: false }
    rows.set(event, row)
    const client = createClient()
    const from = { 'x-forwarded-for': `10.0.${passes >> 8}.${passes & 255}` }
    const connect = await client.get(`${program.url}/connect?event_id=${event}`, from)
    const callback = `${program.url}/callback?code=code-for-${event}&state=${stateOf(connect)}`
    const exchanged = await timed(() => client.get(callback, from))
    if (meets === 'exchange') return { event, ...exchanged }
    row.connected = true
    return { event, ...(await timed(() => client.get(`${program.url}/participants?event_id=${event}`))) }
  }

  return { program, revento, foreign, metricsUrl: `http://127.0.0.1:${metricsPort}/metrics`, pass }
}

async function timed(work: () => Promise<Reply>): Promise<{ reply: Reply; ms: number }> {
  const began = performance.now()
  const reply = await work()
  return { reply, ms: performance.now() - began }
}

const pairFor = (event: string) =>
  tokens({ event_id: event, access_token: `access-of-${event}`, refresh_token: `refresh-of-${event}` })

const meeting = ({ path, form }: Heard): Meets => {
  if (path !== '/oauth/token') return 'api'
  return form.get('grant_type') === 'refresh_token' ? 'refresh' : 'exchange'
}

const eventOf = ({ path, form }: Heard): string =>
  /\/events\/([^/?]+)/.exec(path)?.[1] ??
  `${form.get('code') ?? form.get('refresh_token')}`.replace(/^(code-for|refresh-of)-/, '')

export interface Stored {
  readonly state: string
  readonly reason: string | null
  readonly refresh_phase: string
  readonly version: number
  readonly scope: string
}

/** What the program's database holds of the connection. */
export function stored({ program }: Pick<Stage, 'program'>, event: string): Stored | undefined {
  const file = new DatabaseSync(join(program.folder, 'data', 'revento.db'), { readOnly: true })
  const row = file
    .prepare('select state, reason, refresh_phase, version, scope from connections where event_id = ?')
    .get(event)
  file.close()
  return row as unknown as Stored | undefined
}

/** How often a refresh token of this event was shown. */
export const shown = ({ revento }: Stage, event: string): number =>
  revento.heard.filter(({ form }) => form.get('refresh_token') === `refresh-of-${event}`).length

export const logLines = ({ program }: Stage): Record<string, unknown>[] =>
  program.output.out
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line))
