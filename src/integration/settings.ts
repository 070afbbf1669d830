/** Your own variables, as handlers get them. */
export type Settings = Record<never, never>
