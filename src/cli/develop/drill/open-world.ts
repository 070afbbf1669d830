import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Agent } from 'undici'
import { systemRuntime as runtime } from '../../../process/runtime.ts'
import { createBrowser, type Reply } from './browser.ts'
import { freePorts, runBeside, startProgram } from './program.ts'
import { type Effects, EVENT, Failed, type Probe, type Program, type Row } from './world.ts'

interface WorldOptions {
  readonly folder: string
  /** Waits, and lets other days run meanwhile. */
  readonly rest: <T>(wait: Promise<T>) => Promise<T>
  readonly undisturbed: () => Promise<Effects>
}

/** The stage of one day: an app of its own, reached over HTTP, and its database to read. */
export type World = Awaited<ReturnType<typeof openWorld>>

/** A bad day: something bad happens to the app, and it must come out as it should. */
export interface Day {
  readonly name: string
  readonly title: string
  /** The damage when the app fails it. */
  readonly why: string
  /** The file of this project in which to look when it fails. */
  readonly look: string
  /** The button of the sandbox's console that does the same by hand. */
  readonly fault?: string
  /** Resolves when the app passed, perhaps with a list of warnings; throws Failed with the reason, or NotHere. */
  readonly run: (world: World) => Promise<unknown>
}

export async function openWorld({ folder, rest, undisturbed }: WorldOptions) {
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
  const get = (path: string, accept = 'application/json') => browser.get(running().url + path, { accept })
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
    /** The number of webhooks that the sandbox sends by itself after a connection. */
    get automatic() {
      return automatic
    },
    program: running,
    async start(probe?: Probe) {
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
    /** Connects as an organizer does. Four webhooks follow; with `quiet` the app refuses them. */
    async connect(how?: 'quiet') {
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
    post: (path: string, form: string) => browser.post(running().url + path, form),
    /** Calls the sandbox's console: POST with fields, GET without. */
    console: call,
    async fault(name: string, term: { count: number; size?: number } = { count: 1 }) {
      await call('/faults', { name, ...term })
    },
    async struck(name: string) {
      const { data } = await call<{ data: { name: string; struck: number }[] }>('/faults')
      return data.find(fault => fault.name === name)?.struck ?? 0
    },
    /** The outcomes of the refreshes that reached the token endpoint. */
    async refreshes() {
      const { data } = await call<{ data: { grant_type: string; outcome: string }[] }>('/token-requests')
      return data.filter(one => one.grant_type === 'refresh_token').map(one => one.outcome)
    },
    /** Runs a command of this project beside the app, on its database. */
    command: (path: string, args: readonly string[]) => runBeside(folder, path, args),
    rows: () =>
      read<Row>(`select id, provider, delivery_id, envelope_id, type, state, attempts, received_at, finished_at,
        last_error from inbox order by id`),
    read,
    /** Waits for a condition while other days run. Fails with `what` after `ms`. */
    until: <T>(what: string, ms: number, condition: () => Promise<T> | T) => rest(poll(what, ms, condition)),
    /** The effects of the handlers when nothing disturbs them. They are measured once for all days. */
    undisturbed: () => rest(undisturbed()),
  }
}

function locationOf({ status, headers, text }: Reply): string {
  const { location } = headers
  if (typeof location !== 'string')
    throw new Failed(`a redirect was due, and ${status} came: ${text.slice(0, 200)}`, 'src/oauth')
  return location
}
