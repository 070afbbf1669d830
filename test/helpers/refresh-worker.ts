import { createInterface } from 'node:readline'
import { loadConfig } from '../../src/config/settings.ts'
import { createSealer } from '../../src/keys/sealing.ts'
import { ConnectionUnavailable, createAccessTokens } from '../../src/oauth/access-token.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { createRefresh } from '../../src/oauth/refresh.ts'
import { createRefreshLeases } from '../../src/oauth/refresh-lease.ts'
import { createSignIns } from '../../src/oauth/sign-ins.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import { ApiError, judge } from '../../src/revento/api.ts'
import { createOutgoing, exchange } from '../../src/revento/http.ts'
import { createTokenEndpoint } from '../../src/revento/token-endpoint.ts'
import { openDatabase } from '../../src/storage/open.ts'

/**
 * This process makes one API call for each line on stdin, and writes its outcome as a line to stdout. The second word of a
 * line names the sign-in whose token is used instead of the connection's.
 */
const [databaseUrl = '', authBase = '', apiBase = ''] = process.argv.slice(2)
const log = { info() {}, warn() {}, error() {} }
const database = await openDatabase(loadConfig({ DATABASE_URL: databaseUrl }).store, runtime)
const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
const connections = createConnections(database.query, sealer, runtime, {
  log: { error() {}, warn() {} },
  platform: 'real',
})
const outgoing = createOutgoing()
const credentials = { clientId: 'client', clientSecret: 'secret', redirectUri: '', scopes: '' }
const tokenEndpoint = createTokenEndpoint({ authBase, ...credentials }, outgoing.token, runtime)
const leases = createRefreshLeases(database.query, sealer, runtime, createSteadyClock(runtime), 'real')
const refresh = createRefresh({ leases, tokenEndpoint, origin: '', log }, runtime)
const accessTokens = createAccessTokens({ connections, refresh, log }, runtime)
const signIns = createSignIns(database.query, sealer, runtime, { log, platform: 'real' })
const userTokens = createAccessTokens({ connections: signIns, refresh, log }, runtime)
const key = { eventId: 'evt_test_published', organizationId: 'org_test_formal' }

/** Calls without the API client, whose limit of 30 calls a minute would make the test last for hours. */
async function call(accessToken: string): Promise<void> {
  const headers = { authorization: `Bearer ${accessToken}` }
  const answer = await exchange(outgoing.api, `${apiBase}/events/evt_test_published`, {
    method: 'GET',
    headers,
  })
  const result = judge(answer)
  if ('code' in result) throw new ApiError(result.code, answer.status, '')
}

const say = (line: string) => void process.stdout.write(`${line}\n`)
createInterface({ input: process.stdin }).on('line', line => {
  const [, signIn] = line.split(' ')
  const used =
    signIn === undefined
      ? accessTokens.use(key, call)
      : userTokens.use({ eventId: key.eventId, signIn }, call)
  used.then(
    () => say('ok'),
    error =>
      say(error instanceof ApiError || error instanceof ConnectionUnavailable ? error.code : String(error)),
  )
})
say('ready')
