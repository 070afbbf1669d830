import { parseArgs } from 'node:util'
import { RATE } from '../../../src/revento/platform.ts'
import { startCluster } from './cluster.ts'
import { connectAll, EVENTS, expireAndAsk, handled, sendEverywhere, tokenRequests } from './rounds.ts'

const HELP = `Usage: npm run proof -- [--processes N] [--rounds N] [--deliveries N]

Starts PostgreSQL, the sandbox and N processes of the app (2 unless told, at most 8), and shows that they are one app:

  1. A browser connects two events: /connect on one process, /callback on another.
  2. In each round all access tokens expire, and every process is asked for both events at once: one refresh for each
     event, whoever makes it. As many rounds as Revento's 30 calls a minute allow: 7 for two processes, 3 for four.
  3. Each delivery (200 unless told) goes to every process at once, twice. Halfway one process is killed with -9.

Takes about a minute: the leases of the killed process have to run out. TEST_DATABASE_URL uses a PostgreSQL that is
there (a database of its own is made in it, and dropped), otherwise the packaged one is started.
Exit code: 0 when there were as many refreshes as expiries, and nothing was lost or doubled; else 1.
`

const options = {
  processes: { type: 'string', default: '2' },
  rounds: { type: 'string' },
  deliveries: { type: 'string', default: '200' },
  help: { type: 'boolean', short: 'h' },
} as const
const { values } = parseArgs({ options })
if (values.help) {
  console.log(HELP)
  process.exit(0)
}
const number = (name: 'processes' | 'rounds' | 'deliveries', least: number, most: number) => {
  const n = Number(values[name] ?? most)
  if (Number.isInteger(n) && n >= least && n <= most) return n
  console.error(`--${name} takes a whole number from ${least} to ${most}. Try: npm run proof -- --help`)
  process.exit(1)
}
const processes = number('processes', 2, 8)
// Each process may call twice in a round, with the expired token and with the new one; the first comparison calls too.
const rounds = number('rounds', 1, Math.floor((RATE.perMinute - 2) / (2 * processes)))
const deliveries = number('deliveries', 2, 100_000)

const say = (text: string) => console.error(text)
say(`starting PostgreSQL, the sandbox and ${processes} processes`)
const cluster = await startCluster(processes, process.env['TEST_DATABASE_URL'])
try {
  const client = await connectAll(cluster)
  say('connected two events: /connect on the first process, /callback on the last')
  const before = await tokenRequests(cluster, client)
  for (let round = 1; round <= rounds; round++) await expireAndAsk(cluster, client)
  const refreshes = (await tokenRequests(cluster, client)) - before
  const expected = rounds * EVENTS.length
  say(`${expected} expiries, ${refreshes} token requests`)
  const acknowledged = await sendEverywhere(cluster, deliveries, async () => {
    await cluster.apps[0]?.kill()
    say('killed a process with -9')
  })
  say(`${acknowledged.size} deliveries acknowledged; waiting for their handlers`)
  const ends = await handled(cluster, left => say(`  ${left} left`))
  const lost = [...acknowledged].filter(id => !ends.get(id)).length
  const doubled = [...ends.values()].filter(n => n > 1).length
  console.log(`${refreshes} refreshes, ${lost} lost, ${doubled} doubled`)
  process.exitCode = refreshes === expected && lost === 0 && doubled === 0 ? 0 : 1
} finally {
  await cluster.stop()
}
