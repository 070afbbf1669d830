import type { HandlerContext } from './context.ts'

/** Concerns the whole integration, not one event: no connection can be used until Revento lifts it. */
export async function integrationSuspended({
  store,
  log,
}: HandlerContext<'integration.suspended'>): Promise<void> {
  const connections = await store.suspendConnections()
  log.warn({ connections }, 'Revento has suspended this integration')
}
