import type { DescribeError } from '../process/errors.ts'
import { firstLine } from '../process/errors.ts'
import { BuilderMistake, lineOf, placeOf } from '../process/mistake.ts'
import { atMost, type Runtime } from '../process/runtime.ts'
import type { Service, ServiceContext } from './service.ts'

/** The types are open because each `stop` takes what its own `start` makes. */
export type ServiceList = Readonly<
  Record<string, { start: Service<unknown>['start']; stop?: (service: never) => unknown }>
>

export interface RunningServices {
  /** By their names, as `start` made them. */
  readonly all: Readonly<Record<string, unknown>>
  /** Stops the service that started last first; never rejects. */
  stop(): Promise<void>
}

export interface ServicesOptions {
  readonly context: ServiceContext
  readonly describeError: Pick<DescribeError, 'text'>
}

const FILE = 'src/integration/services.ts'
const START_MS = 10_000
/** For all of them together: the app itself has to stop within 10 s. */
const STOP_MS = 2_000

/** Starts the services one after the other, as listed. When one fails, those before it stop; throws a BuilderMistake. */
export async function startServices(
  list: ServiceList,
  { context, describeError }: ServicesOptions,
  runtime: Pick<Runtime, 'sleep' | 'monotonic'>,
): Promise<RunningServices> {
  const all: Record<string, unknown> = {}
  const stop = async () => {
    const by = runtime.monotonic() + STOP_MS
    for (const name of Object.keys(all).toReversed()) await stopOne(name, by - runtime.monotonic())
  }

  async function stopOne(name: string, ms: number): Promise<void> {
    const fields = { part: 'services', service: name }
    let isLate = true
    const stopping = Promise.resolve()
      .then(() => list[name]?.stop?.(all[name] as never))
      .catch(err => context.log.error({ ...fields, err }, 'service did not stop in order'))
      .then(() => {
        isLate = false
      })
    await atMost(runtime, Math.max(0, ms), stopping)
    if (isLate) context.log.error(fields, 'service did not stop in time')
    delete all[name]
  }

  for (const [name, { start }] of Object.entries(list)) {
    try {
      all[name] = await within(
        runtime,
        Promise.resolve().then(() => start(context)),
      )
    } catch (error) {
      await stop()
      const place = placeOf(error) ?? lineOf(FILE, `${name}:`)
      const why = error instanceof Late ? `did not start within ${START_MS / 1000} s` : 'did not start'
      const text = error instanceof Late ? '' : `: ${firstLine(describeError.text(error))}`
      throw new BuilderMistake(
        `${place}: the service "${name}" ${why}${text}. Mend it, or take it out of ${FILE}.`,
        { cause: error },
      )
    }
  }
  // `all` is handed out uncopied: a service that stops leaves it, so that a late handler finds it gone.
  return { all, stop }
}

class Late extends Error {}

async function within<T>(runtime: Pick<Runtime, 'sleep'>, work: Promise<T>): Promise<T> {
  const settled = new AbortController()
  const late = runtime.sleep(START_MS, settled.signal).then(() => Promise.reject(new Late()))
  late.catch(() => {})
  return Promise.race([work, late]).finally(() => settled.abort())
}
