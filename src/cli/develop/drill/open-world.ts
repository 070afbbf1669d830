import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Agent } from 'undici'
import { systemRuntime as runtime } from '../../../process/runtime.ts'
import { createBrowser, type Reply } from './browser.ts'
import { freePorts, runBeside, startProgram } from './program.ts'
import { type Effects, EVENT, Failed, type Program, type Row, type World } from './world.ts'

export interface WorldOptions {
  readonly folder: string
  /** Waits, and lets other days run meanwhile. */
  readonly rest: <T>(wait: Promise<T>) => Promise<T>
  readonly undisturbed: () => Promise<Effects>
}

export async function openWorld({ folder, rest, undisturbed }: WorldOptions): Promise<World> {
  mkdirSync(folder, { recursive: true })
  const ports = await freePorts()
  const agent = new Agent()
  const browser = createBrowser(agent)
  let program: Program | undefined
  let automatic = 0

  const running = (): Program => {
    if (!program) throw new Failed('the drill itself is wrong: nothing was started')
    return program
  }
  async function call<T>(path: string, fields?: object): Promise<T> {
    const url = `${running().sandboxUrl}/console/api${path}`
    const answer = await (fields ? browser.post(url, fields) : browser.get(url))
    if (answer.status > 299)
      throw new Failed(`the console answered ${answer.status} to ${path}`, 'src/sandbox')
    return JSON.parse(answer.text) as T
  }
  const get = (path: string) => browser.get(running().url + path, { accept: 'application/json' })
  function read<T>(sql: string): T[] {
    const database = new DatabaseSync(join(folder, 'data/drill.db'), { readOnly: true, timeout: 5_000 })
    try {
      return database.prepare(sql).all() as T[]
    } finally {
      database.close()
    }
  }
  async function poll<T>(what: string, ms: number, condition: () => Promise<T> | T) {
    const giveUpAt = runtime.monotonic() + ms
    for (;;) {
      const value = await condition()
      if (value) return value as Exclude<T, false | undefined | null>
      if (runtime.monotonic() > giveUpAt) throw new Failed(`not within ${ms / 1000} s: ${what}`)
      await runtime.sleep(40)
    }
  }

  return {
    folder,
    get automatic() {
      return automatic
    },
    program: running,
    async start(probe) {
      program = await startProgram(folder, ports, probe)
    },
    async kill() {
      await program?.kill()
      automatic = 0
    },
    async close() {
      await program?.kill()
      await agent.destroy()
    },
    async connect(how) {
      if (how === 'quiet') await call('/faults', { name: 'webhook_wrong_secret', count: 1000 })
      const asked = await get(`/connect?event_id=${EVENT}`)
      const consent = await browser.get(locationOf(asked))
      const [, id = ''] = /name="consent" value="([^"]+)"/.exec(consent.text) ?? []
      const form = new URLSearchParams({ consent: id, decision: 'authorize' })
      const decided = await browser.post(`${running().sandboxUrl}/oauth/authorize`, form.toString())
      const back = await browser.get(locationOf(decided), { accept: 'application/json' })
      if (back.status !== 200)
        throw new Failed(`connecting the event was answered ${back.status}: ${back.text}`, 'src/oauth')
      automatic = how === 'quiet' ? 0 : 4
    },
    participants: () => get(`/participants?event_id=${EVENT}&limit=5`),
    get,
    console: call,
    async fault(name, term = { count: 1 }) {
      await call('/faults', { name, ...term })
    },
    async struck(name) {
      const { data } = await call<{ data: { name: string; struck: number }[] }>('/faults')
      return data.find(fault => fault.name === name)?.struck ?? 0
    },
    async refreshes() {
      const { data } = await call<{ data: { grant_type: string; outcome: string }[] }>('/token-requests')
      return data.filter(one => one.grant_type === 'refresh_token').map(one => one.outcome)
    },
    command: (path, args) => runBeside(folder, path, args),
    rows: () =>
      read<Row>(`select id, provider, delivery_id, envelope_id, type, state, attempts, received_at, finished_at,
        last_error from inbox order by id`),
    read,
    until: (what, ms, condition) => rest(poll(what, ms, condition)),
    rest: ms => rest(runtime.sleep(ms)),
    undisturbed: () => rest(undisturbed()),
  }
}

function locationOf({ status, headers, text }: Reply): string {
  const { location } = headers
  if (typeof location !== 'string')
    throw new Failed(`a redirect was due, and ${status} came: ${text.slice(0, 200)}`, 'src/oauth')
  return location
}
