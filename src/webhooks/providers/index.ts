import { senders } from '../../integration/senders/index.ts'
import type { Provider } from '../verify/provider.ts'
import { aghanim } from './aghanim.ts' // part: senders
import { barker } from './barker.ts' // part: senders
import { entrupy } from './entrupy.ts' // part: senders
import { revento } from './revento.ts'
import { standard } from './standard.ts' // part: senders

export const shippedProviders: readonly Provider[] = [
  // The one that every project has.
  revento,
  ...[entrupy, aghanim, barker, standard], // part: senders
]

/** The provider of what comparisons find: this app itself. Without route and secret, nothing outside can send as it. */
export const SYNC = 'sync'
export const SYNC_TYPES = ['participant.added', 'participant.changed', 'participant.removed'] as const

/** The template's providers and the builder's. Each has its variables, its tests, and a route once its secret is set. */
export const providers: readonly Provider[] = [...shippedProviders, ...Object.values<Provider>(senders)]

/**
 * The providers that wait for their handler's answer, so that their deliveries never run from the inbox. The empty name is
 * nobody's: without any such provider PostgreSQL would refuse `not in ()`.
 */
export const inlineProviders: readonly string[] = [
  '',
  ...providers.filter(p => p.inline).map(({ name }) => name),
]
