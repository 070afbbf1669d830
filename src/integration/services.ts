/** What is made once at the start, as handlers get it. */
export type Services = Record<never, never>
