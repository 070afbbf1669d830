import { ownDb } from '../../builder/db.ts'
import { erasePerson, exportPerson, ownRowsOf, type Person } from '../../builder/person.ts'
import { startServices } from '../../builder/services.ts'
import { type Config, loadConfig, readEnvironment } from '../../config/settings.ts'
import { erase } from '../../integration/erase.ts'
import { services } from '../../integration/services.ts'
import { settings as forms, type Settings } from '../../integration/settings.ts'
import { createDescribeError, firstLine } from '../../process/errors.ts'
import { BuilderMistake, placeOf } from '../../process/mistake.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { ID } from '../../revento/platform.ts'
import type { Queries } from '../../storage/database.ts'
import { stderrLog as log, print, printJson, Refused, runCommand, Usage, type Values } from '../command.ts'
import { onStore, writing } from '../store.ts'

const HELP = `Usage: npm run -s person -- EVENT PARTICIPANT --export
       npm run person -- EVENT PARTICIPANT --erase

Answers a person's request about the data that is kept of a participant, here and in your tables.

--export  prints it as one JSON object: their row, the deliveries whose payload names them, the results that handlers
          stored with these, their sign-ins, and the rows of your tables that hold their id
--erase   asks participant() of src/integration/erase.ts first, then removes what this app stores, and says which of your
          tables still holds them. Later webhooks and lists of Revento's bring them back: have them leave the event first

EVENT and PARTICIPANT are ids of Revento, such as evt_… and ptp_…; of somebody who signed in also usr_…. The app may be running. Settings come from .env and the
environment, as for npm start. Exit code of --erase: 0 when nothing is left, else 1.
`

const options = {
  export: { type: 'boolean', default: false },
  erase: { type: 'boolean', default: false },
} as const

async function main(values: Values<typeof options>, words: string[]): Promise<number> {
  const [eventId, participantId, ...more] = words
  if (eventId === undefined || participantId === undefined || more.length > 0)
    throw new Usage('Give the ids of an EVENT and a PARTICIPANT.')
  if (values.export === values.erase) throw new Usage('Give either --export or --erase.')
  for (const id of [eventId, participantId])
    if (!ID.test(id)) throw new Usage('An id has letters, digits, - and _ only.')
  const config = loadConfig(readEnvironment({}), forms)
  const person = { platform: config.mode, eventId, participantId }
  const run = async (query: Queries) => {
    if (values.erase) return eraseAll(query, config, person)
    printJson(await exportPerson(query, person))
    return 0
  }
  return onStore(config.store, () => writing(config.store, run))
}

/** The builder's part runs first, so that it can still find copies outside; ours runs even where it fails. */
async function eraseAll(query: Queries, config: Config, person: Person): Promise<number> {
  const failed = await eraseOwn(query, config, person).then(
    () => undefined,
    (error: unknown) => error,
  )
  const { participants, deliveries, signIns } = await erasePerson(query, person, runtime)
  const payloads = deliveries === 1 ? 'the payload of 1 delivery' : `the payloads of ${deliveries} deliveries`
  const signedIn = signIns === 0 ? '' : ', and their sign-in'
  print(`Erased: ${participants === 0 ? 'no row of theirs' : 'their row'}, and ${payloads}${signedIn}.`)
  if (failed instanceof BuilderMistake) throw failed
  if (failed !== undefined) {
    const text = firstLine(createDescribeError(config.production).text(failed))
    throw new Refused(
      `${placeOf(failed) ?? FILE}: participant() failed: ${text}. Mend it, and run this again.`,
    )
  }
  const left = await ownRowsOf(query, person)
  for (const { table, rows } of left)
    print(`${table} still holds ${rows.length}: remove them in participant() of ${FILE}, and run this again.`)
  if (left.length === 0) print('Your tables hold nothing of them.')
  return left.length === 0 ? 0 : 1
}

const FILE = 'src/integration/erase.ts'
const WITHIN_MS = 60_000

async function eraseOwn(query: Queries, config: Config, { eventId, participantId }: Person): Promise<void> {
  if (!erase.participant) return
  const settings = config.own as Settings
  const describeError = createDescribeError(config.production)
  const running = await startServices(services, { context: { settings, log }, describeError }, runtime)
  const signal = AbortSignal.timeout(WITHIN_MS)
  try {
    const own = { db: ownDb(query, signal), settings, services: running.all as never }
    await erase.participant({ ...own, eventId, participantId, log, signal })
  } finally {
    await running.stop()
  }
}

await runCommand({
  name: 'person',
  help: HELP,
  options,
  takesWords: true,
  main,
  explain: error => (error instanceof BuilderMistake ? error.message : undefined),
})
