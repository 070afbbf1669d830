import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres } from '../../helpers/postgres.ts'
import { crashRounds } from './crash-rounds.ts'
import { postgresStore, sqliteStore } from './stores.ts'

const HELP = `Usage: npm run crash-test -- [--rounds N] [--signal SIGTERM] [--store sqlite|postgres]

Starts the real program, sends it signed webhooks from 32 connections, and kills it with -9 after a random moment; N
times (20 unless told), on one database. Then it starts once more, and everything that was ever answered 200 is looked
for in the inbox and in what the handlers wrote. About a second a round, and half a minute at the end: the leases of
what was killed have to run out. On PostgreSQL it is the packaged server, with its commits on disk. With --signal SIGTERM
or SIGINT it is stopped in order instead, and each round has to end with exit code 0 within 10 s.

Exit code: 0 when nothing was lost, else 1.
`

const options = {
  rounds: { type: 'string', default: '20' },
  store: { type: 'string', default: 'sqlite' },
  signal: { type: 'string', default: 'SIGKILL' },
  help: { type: 'boolean', short: 'h' },
} as const
const { values } = parseArgs({ options })
if (values.help) {
  console.log(HELP)
  process.exit(0)
}
const rounds = Number(values.rounds)
if (!Number.isInteger(rounds) || rounds < 1 || !['sqlite', 'postgres'].includes(values.store)) {
  console.error(
    '--rounds takes a whole number from 1, --store sqlite or postgres. Try: npm run crash-test -- --help',
  )
  process.exit(1)
}
const { signal } = values
if (signal !== 'SIGKILL' && signal !== 'SIGTERM' && signal !== 'SIGINT') {
  console.error('--signal takes SIGKILL, SIGTERM or SIGINT. Try: npm run crash-test -- --help')
  process.exit(1)
}
const folder = mkdtempSync(join(tmpdir(), 'revento-crash-'))
const told = (text: string) => process.stderr.write(process.stderr.isTTY ? `\r${text}\u001b[K` : `${text}\n`)
const server = values.store === 'postgres' ? await startPostgres({ durable: true }) : undefined
const store = server ? await postgresStore(server.url) : sqliteStore(folder)
const result = await crashRounds({ folder, rounds, signal, store, told })
await server?.stop()
if (process.stderr.isTTY) process.stderr.write('\n')
console.log(
  [
    `${result.rounds} times ${signal} under load, ${result.acknowledged} deliveries acknowledged`,
    `${result.lost} lost, ${result.unhandled} without their handler, ${result.handledTwice} with two recorded ends`,
    `${result.ranAgain} handlers that had ended ran again, ${(result.ranAgain / rounds).toFixed(1)} after each`,
    ...(signal === 'SIGKILL' ? [] : [`${result.disorderly} stopped otherwise than with 0 within 10 s`]),
    `all handled ${(result.resumedMs / 1000).toFixed(1)} s after the last start`,
  ].join('\n'),
)
const bad = result.lost + result.unhandled + result.disorderly
if (bad > 0) console.log(`What the program left is kept: ${folder}`)
else rmSync(folder, { recursive: true })
process.exitCode = bad > 0 ? 1 : 0
