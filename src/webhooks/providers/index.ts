import { senders } from '../../integration/senders/index.ts'
import type { Provider } from '../verify/provider.ts'
import { aghanim } from './aghanim.ts'
import { barker } from './barker.ts'
import { entrupy } from './entrupy.ts'
import { revento } from './revento.ts'
import { standard } from './standard.ts'

/** Those of the template. */
export const shippedProviders: readonly Provider[] = [revento, entrupy, aghanim, barker, standard]

/**
 * Who sends what a comparison of the participants finds: this app itself. It has no route and no secret, so nothing outside
 * can send it.
 */
export const SYNC = 'sync'
export const SYNC_TYPES = ['participant.added', 'participant.changed', 'participant.removed'] as const

/** With the builder's senders behind them: each has its variables, its route once its secret is set, and its tests. */
export const providers: readonly Provider[] = [...shippedProviders, ...Object.values<Provider>(senders)]

/** Those that wait for their handler's answer: what they sent never runs from the inbox. */
export const inlineProviders: readonly string[] = providers.filter(p => p.inline).map(({ name }) => name)
