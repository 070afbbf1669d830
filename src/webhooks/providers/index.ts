import type { Provider } from '../verify/provider.ts'
import { aghanim } from './aghanim.ts'
import { barker } from './barker.ts'
import { entrupy } from './entrupy.ts'
import { revento } from './revento.ts'
import { standard } from './standard.ts'

/** The only list: a provider that is here has its variables, its route once its secret is set, and its tests. */
export const providers: readonly Provider[] = [revento, entrupy, aghanim, barker, standard]

/** Those that wait for their handler's answer: what they sent never runs from the inbox. */
export const inlineProviders: readonly string[] = providers.filter(p => p.inline).map(({ name }) => name)
