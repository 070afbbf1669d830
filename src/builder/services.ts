import type { DescribeError } from '../process/errors.ts'
import { firstLine } from '../process/errors.ts'
import { BuilderMistake, lineOf, placeOf } from '../process/mistake.ts'
import { atMost, type Runtime } from '../process/runtime.ts'
import type { Service, ServiceContext } from './service.ts'

/** Each `stop` takes what its own `start` makes; here nothing is known of it. */
export type ServiceList = Readonly<
  Record<string, { start: Service<unknown>['start']; stop?: (service: never) => unknown }>
>

export interface RunningServices {
  /** By their names, as `start` made them. */
  readonly all: Readonly<Record<string, unknown>>
  /** The last one first; never rejects. */
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

/** One after the other, as they are listed. What fails stops those before it, and is a BuilderMistake. */
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
  // The object itself: what is stopped leaves it, and a handler that is late finds it gone.
  return { all, stop }
}

class Late extends Error {}

async function within<T>(runtime: Pick<Runtime, 'sleep'>, work: Promise<T>): Promise<T> {
  const settled = new AbortController()
  const late = runtime.sleep(START_MS, settled.signal).then(() => Promise.reject(new Late()))
  late.catch(() => {})
  return Promise.race([work, late]).finally(() => settled.abort())
}
