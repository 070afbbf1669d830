import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSealer } from '../../../src/keys/sealing.ts'
import { createAccessTokens } from '../../../src/oauth/access-token.ts'
import { createConnections } from '../../../src/oauth/connections.ts'
import { createRefresh } from '../../../src/oauth/refresh.ts'
import { createRefreshLeases } from '../../../src/oauth/refresh-lease.ts'
import { systemRuntime as runtime } from '../../../src/process/runtime.ts'
import { createSteadyClock } from '../../../src/process/trusted-time.ts'
import { ApiError } from '../../../src/revento/api.ts'
import { createOutgoing } from '../../../src/revento/http.ts'
import { createTokenEndpoint } from '../../../src/revento/token-endpoint.ts'
import { openSqlite } from '../../../src/storage/sqlite/database.ts'
import { startPlatform } from '../../helpers/platform.ts'

/** node test/lab/bench/refresh-cycles.ts [CYCLES]: expires and refreshes one token; prints requests and memory. */
const cycles = Number(process.argv[2] ?? 10_000)
const folder = mkdtempSync(join(tmpdir(), 'refresh-cycles-'))
const platform = await startPlatform()
const database = await openSqlite(join(folder, 'test.db'), runtime)
const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
const connections = createConnections(database.query, sealer, runtime, {
  log: { error() {}, warn() {} },
  platform: 'real',
})
const outgoing = createOutgoing()
const log = { info() {}, warn() {}, error() {} }
const settings = { clientId: 'c', clientSecret: 's', redirectUri: '', scopes: '' }
const { authBase } = platform.upstream
const tokenEndpoint = createTokenEndpoint({ authBase, ...settings }, outgoing.token, runtime)
const leases = createRefreshLeases(database.query, sealer, runtime, createSteadyClock(runtime), 'real')
const refresh = createRefresh({ leases, tokenEndpoint, origin: '', log }, runtime)
const accessTokens = createAccessTokens({ connections, refresh, log }, runtime)
const key = { eventId: 'evt_test_published', organizationId: 'org_test_formal' }
const { access_token: accessToken, refresh_token: refreshToken } = platform.issue()
const lifetimes = { expiresIn: 3600, refreshExpiresIn: undefined, scope: undefined }
await connections.save({ accessToken, refreshToken, ...lifetimes, ...key })

const heapMb = () => {
  globalThis.gc?.()
  return Math.round(process.memoryUsage().heapUsed / 1e6)
}
let requests = 0
const begun = performance.now()
for (let cycle = 1; cycle <= cycles; cycle++) {
  let stale = true
  await accessTokens.use(key, async () => {
    if (stale) {
      stale = false
      throw new ApiError('token_expired', 401, '')
    }
  })
  requests += platform.upstream.requests.splice(0).length
  if (cycle % (cycles / 10) === 0)
    process.stdout.write(`${cycle} refreshes, ${requests} requests, heap ${heapMb()} MB\n`)
}
process.stdout.write(`${Math.round(cycles / ((performance.now() - begun) / 1000))} refreshes a second\n`)
await outgoing.close()
await platform.upstream.close()
await database.close()
rmSync(folder, { recursive: true, force: true })
