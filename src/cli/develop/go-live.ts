import { loadConfig, readEnvironment } from '../../config/settings.ts'
import { settings as own } from '../../integration/settings.ts'
import { readManifest } from '../../process/manifest.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { print, printJson, runCommand } from '../command.ts'
import { withAgent } from '../network.ts'
import { clock, dataFolder } from './go-live/host.ts'
import { platformReport, platformText } from './go-live/platform.ts'
import { connect, reachable } from './go-live/public-url.ts'
import { checklist, failures, type Report, registration, reportText } from './go-live/report.ts'
import type { Scene } from './go-live/scene.ts'
import { encryptionKey, node, rotation, senders, settings } from './go-live/settings.ts'
import { type Delivered, webhook } from './go-live/webhook.ts'

const HELP = `Usage: npm run go-live -- [--json]
       npm run go-live -- --platform [--json]

Prints the URLs to register at Revento, and checks the deployment: the settings, the data folder, the clock, and the app
through its public URL (https, cookies, a signed webhook to ourselves). Run it where the app runs, with its settings and
while it runs. A failed check comes with what to type; "look" marks what this command cannot see.

It starts one flow and ends it, and stores one webhook of the type starter.go_live, which no handler gets. Nothing but
one GET for its Date header is sent to Revento. A certificate of your own: NODE_EXTRA_CA_CERTS=FILE npm run go-live

--platform  says instead where Revento was seen to answer otherwise than this app and its sandbox expect, with the file
            that assumes otherwise and what it would break. It reads what was noted while the app ran, and asks Revento
            nothing. No value of anybody is in it, so it can be sent on.

Exit code: 0 when nothing failed or differs, else 1.
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

async function tellPlatform(json: boolean | undefined): Promise<number> {
  const report = await platformReport(loadConfig(readEnvironment({}), own))
  if (json) printJson(report)
  else print(platformText(report))
  return report.differences.length === 0 ? 0 : 1
}

async function main(json: boolean | undefined): Promise<number> {
  const env = readEnvironment({})
  // The checks say what production would refuse; here the settings only have to be readable.
  const config = loadConfig({ ...env, NODE_ENV: undefined }, own)
  const report = await withAgent(dispatcher => examine({ env, config, dispatcher, runtime }))
  if (json) printJson({ failed: failures(report), ...report })
  else print(reportText(report))
  return failures(report) === 0 ? 0 : 1
}

function explain(error: Error): string | undefined {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EACCES' || code === 'EPERM'
    ? `${error.message}\nRun this as the user of the app.`
    : undefined
}

await runCommand({
  name: 'go-live',
  help: HELP,
  options: { json: { type: 'boolean' }, platform: { type: 'boolean' } },
  main: ({ json, platform }) => (platform ? tellPlatform(json) : main(json)),
  explain,
})
