/**
 * Types of Revento's events that its guide does not show, and that you handle: `['badge.printed']`. A type that is neither
 * there nor here is taken for a slip: a handler for it does not compile, and the start says which type is nearest.
 */
export const UNDOCUMENTED_TYPES = [] as const satisfies readonly string[]
