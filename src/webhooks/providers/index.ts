import { senders } from '../../integration/senders/index.ts'
import type { Provider } from '../verify/provider.ts'
import { aghanim } from './aghanim.ts' // part: senders
import { barker } from './barker.ts' // part: senders
import { entrupy } from './entrupy.ts' // part: senders
import { revento } from './revento.ts'
import { standard } from './standard.ts' // part: senders

/** Those of the template. */
export const shippedProviders: readonly Provider[] = [
  // The one that every project has.
  revento,
  ...[entrupy, aghanim, barker, standard], // part: senders
]

/**
 * Who sends what a comparison of the participants finds: this app itself. It has no route and no secret, so nothing outside
 * can send it.
 */
export const SYNC = 'sync'
export const SYNC_TYPES = ['participant.added', 'participant.changed', 'participant.removed'] as const

/** With the builder's senders behind them: each has its variables, its route once its secret is set, and its tests. */
export const providers: readonly Provider[] = [...shippedProviders, ...Object.values<Provider>(senders)]

/**
 * Those that wait for their handler's answer: what they sent never runs from the inbox. The empty name is nobody's: where
 * no sender is left that waits, PostgreSQL would refuse `not in ()`.
 */
export const inlineProviders: readonly string[] = [
  '',
  ...providers.filter(p => p.inline).map(({ name }) => name),
]
