import type { Sighting } from './record.ts'
import type { Rule } from './rule.ts'
import { APP_RULES } from './rules-app.ts'
import { REVENTO_RULES } from './rules-revento.ts'
import { WEBHOOK_RULES } from './rules-webhooks.ts'

export interface Violation {
  readonly rule: string
  readonly what: string
}

export const RULES = { ...WEBHOOK_RULES, ...REVENTO_RULES, ...APP_RULES } satisfies Record<string, Rule>
export type RuleName = keyof typeof RULES

export const judge = (seen: Sighting): Violation[] =>
  Object.entries<Rule>(RULES).flatMap(([rule, find]) => find(seen).map(what => ({ rule, what })))
