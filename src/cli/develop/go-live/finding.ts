import type { Dispatcher } from 'undici'
import type { Env } from '../../../config/checks.ts'
import type { Config } from '../../../config/settings.ts'
import type { Runtime } from '../../../process/runtime.ts'

/** What a check found. `unsure`: it cannot be seen from here, and a person has to look. */
export interface Finding {
  readonly name: string
  readonly status: 'ok' | 'failed' | 'unsure'
  readonly said: string
  /** What to type or to change. */
  readonly todo?: string
}

/** What the checks look at: the settings of this shell, and the app through its public URL. */
export interface Scene {
  readonly env: Env
  readonly config: Config
  readonly dispatcher: Dispatcher
  readonly runtime: Runtime
}

export const ok = (name: string, said: string): Finding => ({ name, status: 'ok', said })
export const failed = (name: string, said: string, todo: string): Finding => ({
  name,
  status: 'failed',
  said,
  todo,
})
export const unsure = (name: string, said: string, todo: string): Finding => ({
  name,
  status: 'unsure',
  said,
  todo,
})
