import { readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FixedTextError } from './disclosure.ts'

/** Something in `src/integration` cannot be used. The builder sees the whole message: file, line and what to type. */
export class BuilderMistake extends Error {
  override readonly name = 'BuilderMistake'
}

/** A mistake that only a run shows. A further run would show it again, so the delivery is dead at once: `replay` it then. */
export class HandlerMistake extends FixedTextError {
  override readonly name = 'HandlerMistake'
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FRAME = /(file:\/\/\/[^\s()?]+)(?:\?[^\s()]*)?:(\d+):\d+\)?$/

/** The first place in the builder's folder that the error passed, as `src/integration/services.ts:12`. */
export function placeOf(error: unknown, folder = 'src/integration/'): string | undefined {
  const frames = error instanceof Error ? (error.stack ?? '').split('\n') : []
  for (const frame of frames) {
    const [, url = '', line = ''] = FRAME.exec(frame) ?? []
    const path = url === '' ? '' : relative(ROOT, fileURLToPath(url)).replaceAll(sep, '/')
    if (path.startsWith(folder)) return `${path}:${line}`
  }
  return undefined
}

/** The line of a file of this project in which the text stands first, comments aside, as `src/integration/jobs.ts:12`. */
export function lineOf(file: string, text: string): string {
  const lines = readFileSync(join(ROOT, file), 'utf8').split('\n')
  const n = lines.findIndex(line => line.includes(text) && !/^\s*(\*|\/)/.test(line))
  return n === -1 ? file : `${file}:${n + 1}`
}
