import { join } from 'node:path'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import type { Queries, Store } from '../../storage/database.ts'
import type { DeliveryState } from '../../storage/schema.ts'
import { createDeliveries, type Deliveries, type DeliveryStory } from '../../webhooks/inbox/deliveries.ts'
import { providers, SYNC } from '../../webhooks/providers/index.ts'
import { print, printJson, readSettings, runCommand, Usage, type Values, wholeNumber } from '../command.ts'
import { onStore, readStore, writing } from '../store.ts'
import { capture } from './capture.ts'
import { storyText, table } from './deliveries-text.ts'
import { replayBy } from './replay.ts' // part: operator

const STATES = ['pending', 'running', 'done', 'ignored', 'duplicate', 'parked', 'dead']
const OF_ONE = ['show', 'replay', 'capture']
const PROVIDERS = [...providers.map(({ name }) => name), 'handshake', SYNC]

const HELP = `Usage: npm run -s deliveries -- list [--state STATE] [--provider NAME] [--limit N] [--json]
       npm run -s deliveries -- show ID [--json]
       npm run -s deliveries -- replay ID [--again [--anew]]
       npm run -s deliveries -- replay --state dead [--type TYPE] [--provider NAME] [--event ID] [--since 2h]
                                       [--until TIME] [--dry-run]
       npm run -s deliveries -- capture ID [--out FOLDER]

list    prints the newest deliveries, newest first; 50 unless --limit says otherwise
show    prints the story of a delivery: its arrival, each run of its handler with its requests to Revento, and its end; in
        development with its payload and the stacks of its errors
replay  runs a dead delivery, or one that had no handler, again as if it were new; once, however often it is typed.
        --again: one that is done; what its steps of once brought is kept, unless --anew has them run again, too
        without an ID: all of a state, 50 a second, in this process or the app's; --dry-run only counts; --stop ends it
capture writes the payload of a delivery of Revento's, without personal data, and a test that sends it to your handler;
        into test/integration unless --out says otherwise

ID is the number that list, the page and the log show as "delivery", or the sender's id of the delivery.
States: ${STATES.join(', ')}.
--json prints one object a line. Settings come from .env and the environment, as for npm start; the app may be running.
`

const options = {
  state: { type: 'string' },
  provider: { type: 'string' },
  limit: { type: 'string', default: '50' },
  out: { type: 'string' },
  json: { type: 'boolean', default: false },
  type: { type: 'string' },
  event: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  'dry-run': { type: 'boolean', default: false },
  stop: { type: 'boolean', default: false },
  again: { type: 'boolean', default: false },
  anew: { type: 'boolean', default: false },
} as const
const OF_REPLAY = ['type', 'event', 'since', 'until', 'dry-run', 'stop', 'again', 'anew'] as const

function readFlags(values: Values<typeof options>, [command = '', id, ...more]: string[]) {
  const isMany = command === 'replay' && id === undefined && (values.state !== undefined || values.stop)
  const wantsId = OF_ONE.includes(command) && !isMany
  if (command !== 'list' && !OF_ONE.includes(command)) throw new Usage(`There is no command ${command}.`)
  if (wantsId && id === undefined) throw new Usage(`${command} needs the ID of a delivery.`)
  if (more.length > 0 || (!wantsId && id !== undefined)) throw new Usage('There is one word too many.')
  const limit = wholeNumber('--limit', values.limit, 999_999)
  if (values.state !== undefined && !STATES.includes(values.state))
    throw new Usage(`--state takes one of: ${STATES.join(', ')}.`)
  if (values.provider !== undefined && !PROVIDERS.includes(values.provider))
    throw new Usage(`--provider takes one of: ${PROVIDERS.join(', ')}.`)
  const stray = OF_REPLAY.find(name => values[name] !== undefined && values[name] !== false)
  if (stray && command !== 'replay') throw new Usage(`--${stray} belongs to replay.`)
  if (values.out !== undefined && command !== 'capture') throw new Usage('--out belongs to capture.')
  return { ...values, command, isMany, id: id ?? '', limit }
}

type Flags = ReturnType<typeof readFlags>

function main(values: Values<typeof options>, words: string[]): Promise<number> {
  if (words.length === 0) {
    print(HELP)
    return Promise.resolve(0)
  }
  const flags = readFlags(values, words)
  const { store, production } = readSettings()
  // part: operator {
  if (flags.isMany || flags.again)
    return onStore(store, () => replayBy(store, readSettings().mode, flags, id => idIn(store, id)))
  // part: operator }
  return onStore(store, () => run(store, flags, !production))
}

/** `isOpen` says that the app is in development, where the payload may be shown. */
async function run(store: Store, flags: Flags, isOpen: boolean): Promise<number> {
  return readStore(store, async query => {
    if (flags.command === 'list') return list(createDeliveries(query), flags)
    const id = await idOf(query, flags.id)
    if (flags.command === 'replay') return replay(store, id)
    if (flags.command === 'capture') return captured(query, id, flags.out)
    return show(query, id, flags, isOpen)
  })
}

// part: operator {
const idIn = (store: Store, id: string) => readStore(store, query => idOf(query, id))

// part: operator }
async function idOf(query: Queries, given: string): Promise<string> {
  if (/^\d{1,15}$/.test(given)) return given
  const id = await createDeliveries(query).locate(given, PROVIDERS)
  if (id === undefined) throw new Usage(`No delivery ${given} is known. Try: npm run -s deliveries -- list`)
  return id
}

async function list(deliveries: Deliveries, { state, provider, limit, json }: Flags): Promise<number> {
  const found = await deliveries.list({ state: state as DeliveryState | undefined, provider }, limit)
  if (json) for (const delivery of found) printJson(delivery)
  else print(found.length > 0 ? table(found) : 'No delivery matches.')
  return 0
}

async function show(query: Queries, id: string, { json }: Flags, isOpen: boolean): Promise<number> {
  const story = await found(createDeliveries(query), id)
  const payload = isOpen && story.stored ? await payloadOf(query, id) : undefined
  if (json) printJson(payload === undefined ? story : { ...story, payload })
  else print(storyText(story, runtime.now(), payload))
  return 0
}

async function payloadOf(query: Queries, id: string): Promise<string | undefined> {
  const row = await query.selectFrom('inbox').select('body').where('id', '=', Number(id)).executeTakeFirst()
  return row?.body ? Buffer.from(row.body).toString() : undefined
}

async function found(deliveries: Deliveries, id: string): Promise<DeliveryStory> {
  const story = await deliveries.find(id, 'operator')
  if (!story) throw new Usage(`There is no delivery ${id}. Try: npm run -s deliveries -- list`)
  return story
}

function replay(store: Store, id: string): Promise<number> {
  return writing(store, async query => {
    const deliveries = createDeliveries(query)
    const result = await deliveries.replay(id, 'operator', runtime.now())
    const { state } = await found(deliveries, id)
    print(REPLAYED[result](id, state))
    return result === 'replayed' ? 0 : 1
  })
}

async function captured(query: Queries, id: string, out = join('test', 'integration')): Promise<number> {
  const { fixture, test } = await capture(query, id, out)
  print(`${fixture}\n${test}\nLook at the first before you commit it. Then: npx vitest run ${test}`)
  return 0
}

const REPLAYED = {
  replayed: (id: string) =>
    `Delivery ${id} runs again, within a second where the app runs. Then: npm run -s deliveries -- show ${id}`,
  not_dead: (id: string, state: string) =>
    `Delivery ${id} is ${state}: only dead ones, and ignored ones, can run again.`,
  erased: (id: string) => `Delivery ${id} cannot run again: its payload was erased.`,
  removed: (id: string) => `Delivery ${id} cannot run again: its payload was removed after PAYLOAD_DAYS.`,
  answered: (id: string) =>
    `Delivery ${id} cannot run again: its sender waited for the answer. Have the sender ask again.`,
  not_found: (id: string) => `There is no delivery ${id}.`,
}

function explain(error: Error): string | undefined {
  // SQLite has words, and PostgreSQL codes, for a table or a column that is not there.
  const { code } = error as NodeJS.ErrnoException
  return error.message.startsWith('no such ') || code === '42P01' || code === '42703'
    ? 'This database is from an older version: start the app once, and try again.'
    : undefined
}

await runCommand({ name: 'deliveries', help: HELP, options, takesWords: true, main, explain })
