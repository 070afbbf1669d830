import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { emptyState, isState, type State } from './state.ts'

/** The state as it was left; a file that cannot be understood costs a new consent, not the start. */
export function loadState(file: string | undefined, log: FastifyBaseLogger): State {
  if (file === undefined) return emptyState()
  try {
    const state: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (isState(state)) return state
    log.warn({ file }, 'sandbox state has an unknown shape: starting fresh')
  } catch (err) {
    if (codeOf(err) !== 'ENOENT') log.warn({ file }, 'sandbox state is unreadable: starting fresh')
  }
  return emptyState()
}

/** Synchronous, so that a token is on disk before the answer that carries it. */
export function saveState(file: string | undefined, state: State, log: FastifyBaseLogger): void {
  if (file === undefined) return
  const draft = `${file}.tmp`
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(draft, JSON.stringify(state), { mode: 0o600 })
    renameSync(draft, file)
  } catch (err) {
    log.warn({ file, code: codeOf(err) }, 'sandbox state was not saved')
  }
}

function codeOf(err: unknown): string | undefined {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : undefined
}
