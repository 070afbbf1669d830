import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Runtime } from '../process/runtime.ts'
import type { TokenEndpoint } from '../revento/token-endpoint.ts'
import type { Metrics } from './metrics.ts'

/** For a webhook's route, by its provider's own name: a path can be spelled in many ways that lead to one route. */
export const countDeliveries =
  (metrics: Metrics, provider: string) =>
  ({ outcome }: FastifyRequest, { statusCode, elapsedTime }: FastifyReply, done: () => void): void => {
    const code = outcome?.['error'] ?? outcome?.['reason'] ?? (statusCode < 400 ? 'accepted' : 'denied')
    metrics.delivery(provider, String(code), elapsedTime / 1000)
    done()
  }

export const countRefreshes = (endpoint: TokenEndpoint, metrics: Metrics): TokenEndpoint => ({
  ...endpoint,
  async refresh(...request) {
    const outcome = await endpoint.refresh(...request)
    metrics.refresh(outcome.kind)
    return outcome
  },
})

interface Appending<D> {
  append(delivery: D): Promise<number>
}

export const timeCommits = <D, Inbox extends Appending<D>>(
  inbox: Inbox & Appending<D>,
  metrics: Metrics,
  runtime: Pick<Runtime, 'monotonic'>,
): Inbox => ({
  ...inbox,
  append(delivery: D) {
    const begun = runtime.monotonic()
    const committed = inbox.append(delivery)
    void committed.then(
      () => metrics.committed((runtime.monotonic() - begun) / 1000),
      () => {},
    )
    return committed
  },
})
