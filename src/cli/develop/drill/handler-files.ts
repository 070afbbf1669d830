import { readFileSync } from 'node:fs'
import { handlers } from '../../../integration/handlers/index.ts'

export const HANDLERS_FOLDER = 'src/integration/handlers'
const INDEX = new URL('../../../integration/handlers/index.ts', import.meta.url)

/** Types that have a handler, by provider. */
export const handledTypes = (provider: string): string[] =>
  Object.entries(listOf(provider)).flatMap(([type, handler]) => (handler ? [type] : []))

/** The file of a type's handler, as the imports of index.ts name it; index.ts where they do not. */
export function handlerFile(provider: string, type: string): string {
  const name = nameOf(listOf(provider)[type])
  const [, file] =
    new RegExp(`import \\{[^}]*\\b${name || '-'}\\b[^}]*\\} from '\\./([^']+)'`).exec(
      readFileSync(INDEX, 'utf8'),
    ) ?? []
  return `${HANDLERS_FOLDER}/${file ?? 'index.ts'}`
}

const listOf = (provider: string): Record<string, unknown> => {
  const all: Record<string, Record<string, unknown> | undefined> = { ...handlers }
  return all[provider] ?? {}
}

const nameOf = (handler: unknown) =>
  typeof handler === 'function' && /^\w+$/.test(handler.name) ? handler.name : ''
