import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import closeWithGrace from 'close-with-grace'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { createApp } from './app.ts'
import { CREDENTIALS } from './config/checks.ts'
import { ownHelp, secretsOf } from './config/own.ts'
import { type Config, keptByNpm, loadConfig, readEnvironment } from './config/settings.ts'
import { settings } from './integration/settings.ts'
import { openSealed } from './keys/open-sealed.ts'
import { openMetrics } from './metrics/index.ts'
import { developmentToken } from './operator/sessions.ts' // part: operator
import { StorageError } from './process/errors.ts'
import { createLogger } from './process/logger.ts'
import { nodeTooOld, readManifest } from './process/manifest.ts'
import { BuilderMistake } from './process/mistake.ts'
import { systemRuntime as runtime } from './process/runtime.ts'
import { ALL_SIGNALS, onSignals } from './process/signals.ts'
import { createOutgoing } from './revento/http.ts'
import { storageAdvice } from './storage/advice.ts'
import { checkDataFolder } from './storage/data-folder.ts'
import { storeName } from './storage/database.ts'

const HELP = `Usage: npm start -- [--host ADDRESS] [--port PORT]

Starts the app. Without REVENTO_CLIENT_ID, REVENTO_CLIENT_SECRET and REVENTO_WEBHOOK_SECRET it runs against the
built-in sandbox. Every setting is in .env.example; --host and --port win over HOST and PORT.
${ownHelp(settings)}`

/** The image and a project that has removed the sandbox do not have this folder. */
const SANDBOX = new URL('./sandbox/', import.meta.url)
const NO_SANDBOX = `There is no sandbox here. Put these into .env, one a line, with what Revento gave you, and start again:
  ${CREDENTIALS.map(name => `${name}=…`).join('\n  ')}`

/** How long requests under way may take after SIGTERM, the notice to balancers included; then their sockets are closed. */
const DRAIN_MS = 6_000
const STOP_WITHIN_MS = 9_500

function flags(): Record<string, string> | undefined {
  const kept = keptByNpm('start', ['host', 'port'])
  if (kept) fail(kept)
  const options = {
    host: { type: 'string' },
    port: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  } as const
  const { values } = parseArgs({ options })
  if (values.help) return undefined
  return { ...(values.host && { HOST: values.host }), ...(values.port && { PORT: values.port }) }
}

async function start(config: Config, logger: FastifyBaseLogger, crashed: AbortSignal) {
  if (config.store.kind === 'sqlite')
    checkDataFolder(config.store.path, { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 })
  const metrics = await openMetrics(config, logger)
  const outgoing = createOutgoing()
  const { database, sealer, instance, isNew } = await openSealed(config, runtime)
  if (isNew && config.production)
    logger.warn(
      { store: storeName(config.store) },
      'made a new database: if there was one, stop, and check DATABASE_URL and its volume',
    )
  const settings = { ...config }
  // part: operator {
  const madeToken = config.production || config.operatorToken ? undefined : developmentToken(sealer)
  Object.assign(settings, { operatorToken: config.operatorToken ?? madeToken })
  // part: operator }
  const app = await createApp(settings, {
    database,
    sealer,
    instance,
    outgoing,
    runtime,
    logger,
    crashed,
    ...(metrics && { metrics }),
  })
  // part: sandbox {
  // Loaded only when it is used: the image leaves its folder out.
  const startBeside = config.mode === 'sandbox' && (await import('./sandbox/beside.ts')).startBeside
  const sandbox =
    startBeside && (await startBeside(config, { runtime, dispatcher: createOutgoing().api, log: logger }))
  // part: sandbox }
  // Metrics listen before the app does: a used port must stop the start before anything is claimed.
  const scrapes = await metrics?.listen()
  await app.listen({ host: config.host, port: config.port })
  const stop = async () => {
    await drain(app)
    // The sandbox closes after the app, so that a refresh under way still gets its answer.
    if (sandbox) await sandbox.close() // part: sandbox
    await scrapes?.close()
  }
  // part: operator {
  if (madeToken)
    logger.info({ part: 'start' }, `Operator: open ${config.origin}/operator, token ${madeToken}`)
  // part: operator }
  return { stop, metricsUrl: metrics?.url }
}

async function drain(app: FastifyInstance): Promise<void> {
  const impatient = setTimeout(() => app.server.closeAllConnections(), DRAIN_MS)
  await app.close()
  clearTimeout(impatient)
}

/** Stops when npm has ended: SIGTERM to `npm start` ends npm and its shell, and would leave this process with the port. */
function whenParentEnds(stop: () => void): void {
  const parent = process.ppid
  const watch = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(watch)
    stop()
  }, 250)
  watch.unref()
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

function portName(port: number | undefined, { sandboxPort, metricsPort }: Config): string {
  if (port === metricsPort) return 'METRICS_PORT'
  return port === sandboxPort ? 'SANDBOX_PORT' : 'PORT'
}

function explain(error: unknown, config: Config): string {
  if (error instanceof BuilderMistake) return error.message
  const { code, port } = error as { code?: string; port?: number }
  if (code === 'EADDRINUSE')
    return `Port ${port} is in use. Stop what listens there, or set ${portName(port, config)}.`
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return 'HOST is no address of this machine. Set 127.0.0.1, or 0.0.0.0 for all of them.'
  if (code === 'EACCES' && port !== undefined) return `Port ${port} needs more rights. Set PORT above 1023.`
  if (error instanceof StorageError && error.code === 'cannot_create_key_file')
    return `The folder of ${config.keyFile} is not writable for this user. Give it to the user, or set ENCRYPTION_KEY and DATABASE_URL.`
  if (error instanceof StorageError && error.code.includes('key_file'))
    return `The key file ${config.keyFile} cannot be used: ${error.code}. Restore it, or delete it: connections made with it are lost.`
  const advice = storageAdvice(error, config.store)
  if (advice) return advice
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

try {
  const overrides = flags()
  if (overrides === undefined) {
    process.stdout.write(HELP)
    process.exit(0)
  }
  const config = loadConfig(readEnvironment(overrides), settings)
  if (config.mode === 'sandbox' && !existsSync(SANDBOX)) fail(NO_SANDBOX)
  const logger = await createLogger(config.logLevel, {
    terminal: process.stdout.isTTY && !config.production,
    production: config.production,
    secrets: secretsOf(settings, config.own),
  })
  for (const warning of config.warnings) logger.warn({ part: 'config' }, warning)
  const tooOld = nodeTooOld(process.versions.node, readManifest())
  if (tooOld) logger.warn({ part: 'node' }, `${tooOld.problem}. ${tooOld.todo}`)
  const crashed = new AbortController()
  const { stop, metricsUrl } = await start(config, logger, crashed.signal).catch(error =>
    fail(explain(error, config)),
  )
  logger.info(
    {
      node: process.versions.node,
      mode: config.mode,
      store: config.store.kind,
      providers: [...Object.keys(config.providerSecrets), ...(config.verifyToken ? ['handshake'] : [])],
      url: config.origin,
      revento: config.authBase,
      api: config.apiBase,
      metrics: metricsUrl,
    },
    `Ready: open ${config.origin}`,
  )
  let ending = false
  const closing = closeWithGrace(
    {
      delay: STOP_WITHIN_MS,
      logger: false,
      skip: ALL_SIGNALS,
      onTimeout: () => logger.error({}, 'stopped with requests or handlers under way'),
      onSecondError: err => logger.error({ err }, 'stopped at once, by another error'),
    },
    async ({ err }) => {
      ending = true
      if (err) {
        crashed.abort()
        logger.error({ err }, 'stopping after an error nobody caught')
      } else logger.info({ signal: signals.first }, 'stopping')
      await stop()
      logger.info({}, 'stopped')
    },
  )
  const end = () => ending || closing.close()
  const signals = onSignals(end, logger)
  if (config.underNpm) whenParentEnds(end)
} catch (error) {
  const text = error instanceof Error ? error.message : String(error)
  const usage = String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS')
  fail(usage ? `${text}\nTry: npm start -- --help` : text)
}
