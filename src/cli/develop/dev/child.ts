import { open } from 'node:inspector'
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import { ConfigError, loadConfig, readEnvironment } from '../../../config/settings.ts'
import { BuilderMistake } from '../../../process/mistake.ts'

/** The cache of compiled code halves the time of loading. */
enableCompileCache(fileURLToPath(new URL('../../../../node_modules/.cache/compiled/', import.meta.url)))

/** The app under `npm run dev`. It loads everything first: where something does not load, the old app goes on. */
try {
  const { settings } = await import('../../../integration/settings.ts')
  loadConfig(readEnvironment({}), settings)
  const { checkJobs } = await import('../../../builder/jobs.ts')
  const { jobs } = await import('../../../integration/jobs.ts')
  checkJobs(jobs)
  const { checkSenders } = await import('../../../builder/senders.ts')
  const { senders } = await import('../../../integration/senders/index.ts')
  const { shippedProviders } = await import('../../../webhooks/providers/index.ts')
  checkSenders(senders, shippedProviders)
  const { checkList } = await import('../../../storage/own-migrations.ts')
  const { migrations } = await import('../../../integration/migrations/index.ts')
  checkList(migrations)
  await import('../../../app.ts')
  await import('../../../sandbox/beside.ts') // part: sandbox
} catch (error) {
  if (!(error instanceof ConfigError || error instanceof BuilderMistake)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}
process.send?.('loaded')
process.once('message', ({ inspect }: { inspect: boolean }) => {
  // The debugger's port is free only now.
  if (inspect) open()
  process.channel?.unref()
  void import('../../../main.ts')
})
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
