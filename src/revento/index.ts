import type { Runtime } from '../process/runtime.ts'
import { type ApiClient, type ApiClientOptions, createApiClient } from './api.ts'
import { WINDOWS } from './budget.ts'
import type { Outgoing } from './http.ts'
import { createTokenEndpoint, type TokenEndpoint, type TokenEndpointOptions } from './token-endpoint.ts'

type ClientSettings = Omit<TokenEndpointOptions, 'observe' | 'count'> & Pick<ApiClientOptions, 'apiBase'>

interface ClientParts extends Pick<ApiClientOptions, 'budgets' | 'observe' | 'log'> {
  readonly outgoing: Outgoing
  readonly counters?: { refresh: TokenEndpointOptions['count']; apiRequest: ApiClientOptions['count'] }
}

/** The clients for Revento: one for its token endpoint, and one for its API that keeps to its limits. */
export function createClients(
  config: ClientSettings,
  { outgoing, counters, ...parts }: ClientParts,
  runtime: Runtime,
): { tokenEndpoint: TokenEndpoint; apiClient: ApiClient } {
  const { observe } = parts
  return {
    tokenEndpoint: createTokenEndpoint(
      { ...config, observe, count: counters?.refresh },
      outgoing.token,
      runtime,
    ),
    apiClient: createApiClient(
      {
        ...parts,
        ...{ apiBase: config.apiBase, dispatcher: outgoing.api, windows: WINDOWS },
        count: counters?.apiRequest,
      },
      runtime,
    ),
  }
}
