import { startPostgres } from '../../helpers/postgres.ts'
import { startWorkers } from '../../helpers/refresh-workers.ts'

/** node test/lab/proof/refreshes.ts [PROCESSES] [EXPIRIES]: counts the token requests on PostgreSQL; exit 1 if they differ. */
const [processes = 4, expiries = 1_000] = process.argv.slice(2).map(Number)
const server = await startPostgres()
const workers = await startWorkers({ kind: 'postgres', url: server.url }, server.url, processes)
const begun = performance.now()
for (let round = 1; round <= expiries; round++) {
  const failed = (await workers.expireAndCall()).filter(outcome => outcome !== 'ok')
  if (failed.length > 0) throw new Error(`round ${round}: ${failed}`)
  if (round % 100 === 0)
    console.error(`${round} expiries, ${workers.platform.upstream.tokenRequests().length} token requests`)
}
const requests = workers.platform.upstream.tokenRequests().length
const seconds = Math.round((performance.now() - begun) / 1000)
console.log(`${processes} processes, ${expiries} expiries: ${requests} token requests, in ${seconds} s`)
await workers.stop()
await server.stop()
process.exitCode = requests === expiries ? 0 : 1
