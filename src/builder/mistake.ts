import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Something in `src/integration` cannot be used. The message is for the builder, whole: file, line and what to type. */
export class BuilderMistake extends Error {
  override readonly name = 'BuilderMistake'
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
