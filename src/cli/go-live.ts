import { parseArgs } from 'node:util'
import { Agent } from 'undici'
import { ConfigError, loadConfig, readEnvironment } from '../config.ts'
import { readManifest } from '../manifest.ts'
import { systemRuntime as runtime } from '../runtime.ts'
import { checklist } from './go-live/checklist.ts'
import { clock } from './go-live/clock.ts'
import { dataFolder } from './go-live/data-folder.ts'
import type { Scene } from './go-live/finding.ts'
import { connect, reachable } from './go-live/public-url.ts'
import { failures, type Report, registration, reportText } from './go-live/report.ts'
import { rotation } from './go-live/rotation.ts'
import { encryptionKey, node, senders, settings } from './go-live/settings.ts'
import { type Delivered, webhook } from './go-live/webhook.ts'

const HELP = `Usage: npm run go-live -- [--json]

Prints the URLs to register at Revento, and checks the deployment: the settings, the data folder, the clock, and the app
through its public URL (https, cookies, a signed webhook to ourselves). Run it where the app runs, with its settings and
while it runs. What fails comes with what to type; "look" is what cannot be seen from here.

It starts one flow and ends it, and stores one webhook of the type starter.go_live, which no handler gets. Nothing but
one GET for its Date header is sent to Revento. A certificate of your own: NODE_EXTRA_CA_CERTS=FILE npm run go-live

Exit code: 0 when nothing failed, else 1.
`

async function examine(scene: Scene): Promise<Report> {
  const reached = await reachable(scene)
  const isReached = reached.status === 'ok'
  const delivered: Delivered | undefined = isReached ? await webhook(scene) : undefined
  const checks = [
    node(process.versions.node, readManifest()),
    ...settings(scene),
    senders(scene),
    encryptionKey(scene),
    ...(await rotation(scene)),
    dataFolder(scene),
    await clock(scene),
    reached,
    ...(isReached ? await connect(scene) : []),
    ...(delivered?.findings ?? []),
  ]
  return { register: registration(scene.config), checks, checklist: await checklist(scene, delivered) }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const env = readEnvironment({})
  const dispatcher = new Agent({ connect: { timeout: 5_000 }, maxResponseSize: 1024 * 1024 })
  try {
    // The checks say what production would refuse; here the settings only have to be readable.
    const config = loadConfig({ ...env, NODE_ENV: undefined })
    const report = await examine({ env, config, dispatcher, runtime })
    console.log(values.json ? JSON.stringify({ failed: failures(report), ...report }) : reportText(report))
    return failures(report) === 0 ? 0 : 1
  } finally {
    await dispatcher.close()
  }
}

function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error instanceof ConfigError) return error.message
  const { code } = error as NodeJS.ErrnoException
  const isFlag = String(code).startsWith('ERR_PARSE_ARGS')
  if (code === 'EACCES' || code === 'EPERM') return `${error.message}\nRun this as the user of the app.`
  return isFlag ? `${error.message}\nTry: npm run go-live -- --help` : (error.stack ?? error.message)
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(explain(error))
  return 1
})
