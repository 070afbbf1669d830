import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { testFolder } from './folder.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface ProjectCopy {
  readonly folder: string
  /** For its processes: what one copy has compiled serves the next. */
  readonly env: Record<string, string>
  write(path: string, text: string): void
  /** Fails where there is nothing to replace: a change that changes nothing proves nothing. */
  replace(path: string, text: string, by: string): void
}

/** This project once more, to be broken: the same dependencies, and nothing of `.env` or `data`. */
export function copyProject(): ProjectCopy {
  const folder = testFolder()
  for (const part of ['src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const write = (path: string, text: string) => writeFileSync(join(folder, path), text)
  return {
    folder,
    env: { NODE_COMPILE_CACHE: join(folder, 'node_modules/.cache/node') },
    write,
    replace(path, text, by) {
      const before = readFileSync(join(folder, path), 'utf8')
      if (!before.includes(text)) throw new Error(`${path} has no ${text}`)
      write(path, before.replace(text, by))
    },
  }
}
