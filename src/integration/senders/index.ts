import type { Provider } from '../../webhooks/verify/provider.ts'

/** Your senders by their names, one file each; this is their only list. The README of this folder says how to write one. */
export const senders = {} satisfies Record<string, Provider>
