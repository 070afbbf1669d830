import cookie from '@fastify/cookie'
import type { FastifyPluginAsync } from 'fastify'
import { createAddressLimit } from '../http/caller-address.ts'
import { cookiePrefix } from '../http/own-host.ts'
import type { Trace } from '../http/request-log.ts'
import type { Sealer } from '../keys/sealing.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { ApiClient, EventApi, MeApi, Patience } from '../revento/api.ts'
import type { SignInKey } from '../revento/platform.ts'
import type { TokenEndpoint } from '../revento/token-endpoint.ts'
import type { AgedRows } from '../storage/aged-rows.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform } from '../storage/schema.ts'
import { type AccessTokens, createAccessTokens } from './access-token.ts'
import { callbackRoute } from './callback.route.ts'
import { connectRoute } from './connect.route.ts'
import { type ConnectionKey, type Connections, createConnections } from './connections.ts'
import { watchEndings, watchUnused } from './endings.ts'
import { createFlows, flowRows } from './flows.ts'
import { createRefresh } from './refresh.ts'
import { createRefreshLeases } from './refresh-lease.ts'
import { createSessions, SESSION_ROWS, type Sessions } from './sessions.ts'
import { createSignInSessions, SIGN_IN_SESSION_ROWS, type SignInSessions } from './sign-in-sessions.ts'
import { createSignIns, SIGN_IN_ROWS, type SignIns } from './sign-ins.ts'

export interface OAuthSettings {
  readonly mode: Platform
  readonly production: boolean
  readonly scopes: string
  /** Undefined where participants cannot sign in. */
  readonly userScopes?: string | undefined
  readonly origin: string
  readonly redirectUri: string
  readonly https: boolean
  readonly defaultEventId: string | undefined
  readonly stateTtlMs: number
  readonly trustProxy: readonly string[]
}

export interface OAuthParts {
  readonly query: Queries
  readonly sealer: Sealer
  readonly clock: SteadyClock
  readonly tokenEndpoint: TokenEndpoint
  readonly apiClient: ApiClient
  /** Returns the trace of a request that is under way. */
  readonly traceOf: (requestId: string) => Trace | undefined
  readonly log: Log
  readonly stopping: AbortSignal
  /** Called when a suspension was found to be over. */
  readonly lifted: () => void
}

/** What participants who signed in have. Nothing of it is shared with organizers. */
export interface Login {
  readonly sessions: SignInSessions
  readonly signIns: SignIns
  /** The API of a participant for a page request. */
  me(key: SignInKey, requestId: string): MeApi
}

export interface OAuth {
  readonly connections: Connections
  readonly accessTokens: AccessTokens
  readonly sessions: Sessions
  /** The API of a connection for a page request. */
  api(key: ConnectionKey, requestId: string): EventApi
  /** Undefined where REVENTO_USER_SCOPES is not set. */
  readonly login: Login | undefined
  /** `onwardPage` renders the page that leads on to a URL; `resume` lets the parked deliveries of a connection go on. */
  routes: FastifyPluginAsync<{ onwardPage: (url: string) => string; resume: (key: ConnectionKey) => void }>
  /** The rows of this room that expire; the retention job of webhooks/ removes them. */
  readonly aged: readonly AgedRows[]
  /** Keeps unused connections alive, and logs those that end soon. */
  watch(signal: AbortSignal): void
}

/** A page waits this long for Revento's limit, then says that it is used up. */
const PAGE_PATIENCE_MS = 2_000

/** Connections, their tokens, and the sessions of the browsers that made them. */
export function createOAuth(config: OAuthSettings, parts: OAuthParts, runtime: Runtime): OAuth {
  const { query, sealer, clock, tokenEndpoint, log, stopping } = parts
  const platform = config.mode
  const cookieOptions = { httpOnly: true, sameSite: 'lax', path: '/', secure: config.https } as const
  const names = { cookiePrefix: cookiePrefix(config) }
  const connections = createConnections(query, sealer, runtime, {
    log,
    platform,
    requestedScopes: config.scopes,
  })
  const leases = createRefreshLeases(query, sealer, runtime, clock, platform)
  const refresh = createRefresh({ leases, tokenEndpoint, origin: config.origin, log, stopping }, runtime)
  const accessTokens = createAccessTokens({ connections, refresh, log, lifted: parts.lifted }, runtime)
  const signIns = createSignIns(query, sealer, runtime, { log, platform, requestedScopes: config.userScopes })
  const userTokens = createAccessTokens({ connections: signIns, refresh, log }, runtime)
  const flows = createFlows(query, sealer, runtime, clock, { ttlMs: config.stateTtlMs, ...names })
  const sessions = createSessions(query, runtime, clock, { ...names, cookie: cookieOptions, platform })

  const signInSessions = createSignInSessions(query, runtime, clock, {
    ...names,
    cookie: cookieOptions,
    platform,
  })

  const apiFor = (key: ConnectionKey, patience: Omit<Patience, 'patienceMs'>): EventApi =>
    parts.apiClient.forEvent(key, (call, scope) => accessTokens.use(key, call, { scope }), {
      patienceMs: PAGE_PATIENCE_MS,
      ...patience,
    })
  const ofRequest = (requestId: string) => {
    const trace = parts.traceOf(requestId)
    return {
      about: { request_id: requestId, ...(trace && { trace_id: trace.traceId }) },
      ...(trace && { traceparent: trace.traceparent }),
    }
  }
  const api = (key: ConnectionKey, requestId: string) => apiFor(key, ofRequest(requestId))
  const me = (key: SignInKey, requestId: string): MeApi =>
    parts.apiClient.forUser(key, (call, scope) => userTokens.use(key, call, { scope }), {
      patienceMs: PAGE_PATIENCE_MS,
      ...ofRequest(requestId),
    })

  return {
    connections,
    accessTokens: {
      use: accessTokens.use,
      settled: async () => void (await Promise.all([accessTokens.settled(), userTokens.settled()])),
    },
    sessions,
    api,
    login: config.userScopes === undefined ? undefined : { sessions: signInSessions, signIns, me },
    aged: [flowRows(config.stateTtlMs), SESSION_ROWS, SIGN_IN_SESSION_ROWS, SIGN_IN_ROWS],
    async routes(app, { onwardPage, resume }) {
      const { origin, production, defaultEventId, stateTtlMs } = config
      await app.register(cookie)
      connectRoute(app, {
        ...{ origin, production, defaultEventId, stateTtlMs, flows, tokenEndpoint, onwardPage },
        cookie: cookieOptions,
        hasLogin: config.userScopes !== undefined,
        mayConnect: createAddressLimit(config.trustProxy, runtime),
      })
      callbackRoute(app, {
        ...{ flows, tokenEndpoint, connections, sessions, signIns, signInSessions, api, resume },
        cookie: cookieOptions,
      })
    },
    watch(signal) {
      const keepAlive = (key: ConnectionKey) => apiFor(key, { about: { reason: 'keep_alive' } })
      void watchUnused({ connections, api: keepAlive, log }, runtime, signal)
      void watchEndings({ connections, log, origin: config.origin }, runtime, signal)
    },
  }
}
