import type { EventDataOf } from '../builder/event-data.ts'

/**
 * Types of Revento's events that its guide does not show, and that you handle, each with what its `data` holds, as far as you
 * rely on it: `'badge.printed': data<{ badge_id: string }>()`, with `data` of `src/builder/event-data.ts`. A type that is
 * neither there nor here is taken for a slip: a handler for it does not compile, and the start says which type is nearest.
 */
export const eventTypes = {} satisfies Record<string, EventDataOf<object>>
