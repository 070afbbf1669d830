import { secretsOf } from '../config/own.ts'
import { type Config, ConfigError, loadConfig, readEnvironment } from '../config/settings.ts'
import { services } from '../integration/services.ts'
import { settings as forms, type Settings } from '../integration/settings.ts'
import { openSealed } from '../keys/open-sealed.ts'
import { SETTLED_MS } from '../oauth/access-token.ts'
import { createOAuth, type OAuth } from '../oauth/index.ts'
import { createDescribeError, type DescribeError, firstLine } from '../process/errors.ts'
import type { Log } from '../process/log.ts'
import { hiding } from '../process/logger.ts'
import { BuilderMistake } from '../process/mistake.ts'
import { atMost, systemRuntime as runtime } from '../process/runtime.ts'
import { createSteadyClock } from '../process/trusted-time.ts'
import { ApiError } from '../revento/api.ts'
import { createOutgoing } from '../revento/http.ts'
import { createClients } from '../revento/index.ts'
import { storageAdvice } from '../storage/advice.ts'
import { createBudgets } from '../storage/api-budgets.ts'
import type { Database } from '../storage/database.ts'
import type { Own } from './context.ts'
import { ownDb } from './db.ts'
import { createRevento, NotUsable, type Revento, type ReventoParts } from './revento.ts'
import { startServices } from './services.ts'

export interface ScriptContext extends Revento, Own {
  /** Fires at Ctrl-C: pass it on to what takes long. */
  readonly signal: AbortSignal
}

/**
 * Runs `work` for a script, beside the running app or without it, with the tokens and limits of the app, and closes
 * everything. An error is printed with what to do, and the exit code is 1. Settings come from .env and the environment.
 */
export async function openRevento(work: (revento: ScriptContext) => Promise<void>): Promise<void> {
  const stopping = new AbortController()
  const stop = () => stopping.abort()
  process.once('SIGINT', stop)
  try {
    await opened(work, stopping.signal)
  } catch (error) {
    process.exitCode = 1
    process.stderr.write(`${sayOf(error)}\n`)
  } finally {
    process.off('SIGINT', stop)
  }
}

async function opened(work: (revento: ScriptContext) => Promise<void>, signal: AbortSignal): Promise<void> {
  await openConnected(async ({ config, database, parts, log, describeError }) => {
    const settings = config.own as Settings
    const running = await startServices(services, { context: { settings, log }, describeError }, runtime)
    const own = { db: ownDb(database.query), settings, services: running.all as Own['services'] }
    try {
      await work({ ...createRevento(parts, { part: 'script' }, { signal }), ...own, signal })
    } finally {
      await running.stop()
    }
  }, signal)
}

/** The parts for calling Revento beside the running app, or without it. */
export interface Connected {
  readonly config: Config
  readonly database: Database
  readonly parts: ReventoParts & Pick<OAuth, 'connections' | 'accessTokens'>
  readonly log: Log & { child(): Log }
  readonly describeError: Pick<DescribeError, 'text'>
}

/** Opens the database and the API of the settings, for as long as `work` takes. */
export async function openConnected(
  work: (o: Connected) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const config = loadConfig(readEnvironment({}), forms)
  const hidden = hiding(secretsOf(forms, config.own))
  const describe = createDescribeError(config.production)
  const describeError = { text: (error: unknown) => hidden(describe.text(error)) }
  const log = createLog(describeError.text, hidden)
  const outgoing = createOutgoing()
  const { database, sealer } = await openSealed(config, runtime).catch(error => {
    const advice = storageAdvice(error, config.store)
    throw advice === undefined ? error : new BuilderMistake(advice, { cause: error })
  })
  const { query } = database
  try {
    const budgets = createBudgets(query, config.mode)
    const clients = createClients(config, { outgoing, budgets, log: { ...log, info: () => {} } }, runtime)
    const { connections, accessTokens } = createOAuth(
      config,
      {
        ...{ ...clients, query, sealer, log, stopping: signal },
        ...{ traceOf: () => undefined, lifted: () => {}, clock: createSteadyClock(runtime, () => {}) },
      },
      runtime,
    )
    const parts = { query, connections, accessTokens, apiClient: clients.apiClient, origin: config.origin }
    try {
      await work({ config, database, parts, log, describeError })
    } finally {
      await atMost(runtime, SETTLED_MS, accessTokens.settled())
    }
  } finally {
    await outgoing.close()
    await database.close()
  }
}

/** Writes only warnings and errors, to stderr: stdout belongs to the script. */
function createLog(
  say: (error: unknown) => string,
  hidden: (text: string) => string,
): Log & { child(): Log } {
  const write = ({ err, ...fields }: { err?: unknown }, message: string) => {
    const why = err === undefined ? '' : `: ${firstLine(say(err))}`
    process.stderr.write(hidden(`${message}${why} ${JSON.stringify(fields)}\n`))
  }
  const log = { info: () => {}, warn: write, error: write, child: () => log }
  return log
}

function sayOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof NotUsable || error instanceof BuilderMistake || error instanceof ConfigError)
    return error.message
  if (error instanceof ApiError) return `Revento did not give what was asked for: ${error.code}.`
  return error.stack ?? error.message
}
