import type { HandlerContext } from '../../builder/context.ts'

/** Concerns the whole integration, not one event. By now this app has marked its connections. */
export async function integrationSuspended({ log }: HandlerContext<'integration.suspended'>): Promise<void> {
  log.info({}, 'no connection can be used until Revento lifts it')
}
