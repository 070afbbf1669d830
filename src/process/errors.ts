import { readFileSync } from 'node:fs'
import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { classOf, FixedTextError, isErrorCode } from './disclosure.ts'

/** The store cannot work now. `code` is for the log and /ready; callers only see 503. */
export class StorageError extends FixedTextError {
  readonly code: string
  /** Nothing of the transaction was kept, and another try may succeed. */
  readonly repeatable: boolean
  constructor(code: string, options: { cause?: unknown; repeatable?: boolean } = {}) {
    super(`storage: ${code}`, 'cause' in options ? { cause: options.cause } : {})
    this.name = 'StorageError'
    this.code = code
    this.repeatable = options.repeatable ?? false
  }
}

/** The text of a cause, or its code: an error about several addresses has no text. */
export function causeText(cause: unknown): string {
  const { message, code } = (cause ?? {}) as NodeJS.ErrnoException
  return message || code || 'no cause is known'
}

/** Describes an error as far as it may be shown. Never throws, though an error may be anything, even a throwing Proxy. */
export interface DescribeError {
  /** The fields of a log line. */
  fields(error: unknown): Record<string, unknown>
  /** The text in the list of deliveries and their stories: a line, in development followed by those of the stack. */
  text(error: unknown): string
}

/** The first line of a text of `DescribeError`, for a list. */
export const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''

const LINE_LIMIT = 200
const STACK_LIMIT = 4_000
const STACK_LINES = 100

/**
 * In production a description has the error's class, its code and the places in this project's code that it passed, and
 * its message only where that is a text of this source: a handler's error may quote a payload in any of its members. In
 * development the message and the stack are added, but never a cause or other members, which may hold tokens.
 */
export function createDescribeError(production: boolean): DescribeError {
  const [fields, text] = production ? [fieldsInside, textInside] : [wholeFields, wholeText]
  return {
    fields: error => guarded(() => fields(error), { type: 'Error' }),
    text: error => guarded(() => text(error), 'error'),
  }
}

function guarded<T>(describe: () => T, otherwise: T): T {
  try {
    return describe()
  } catch {
    return otherwise
  }
}

function fieldsInside(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  return {
    type: classOf(error),
    ...codeField(error),
    ...(error instanceof FixedTextError ? { message: error.message } : {}),
    at: placesOf(error),
    ...(error instanceof StorageError ? { cause: causeInside(error.cause) } : {}),
  }
}

function textInside(error: unknown): string {
  if (!(error instanceof Error)) return 'error'
  if (error instanceof FixedTextError) return `${classOf(error)}: ${error.message}`.slice(0, LINE_LIMIT)
  const [place] = placesOf(error)
  return `${classOf(error)}${place === undefined ? '' : ` at ${place}`}`
}

/** Shows SQLite's text for its code, or PostgreSQL's SQLSTATE, but not their messages, which may quote a row. */
function causeInside(cause: unknown): Record<string, unknown> {
  if (!(cause instanceof Error)) return { type: typeof cause }
  const { code, errcode, errstr } = cause as { code?: unknown; errcode?: unknown; errstr?: unknown }
  const sqlstate = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? { code } : codeField(cause)
  const sqlite = typeof errcode === 'number' && typeof errstr === 'string' ? { errcode, errstr } : {}
  return { type: classOf(cause), ...sqlstate, ...sqlite }
}

function wholeFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  return {
    type: error.name,
    ...codeField(error),
    message: error.message,
    stack: error.stack,
    ...(error instanceof StorageError && error.cause instanceof Error
      ? { cause: causeText(error.cause) }
      : {}),
  }
}

function wholeText(error: unknown): string {
  if (!(error instanceof Error)) return 'error'
  const line = `${error.name}: ${error.message}`.replaceAll(/\s*\n\s*/g, ' ').slice(0, LINE_LIMIT)
  if (error instanceof FixedTextError) return line
  return [line, ...framesOf(error)].join('\n').slice(0, STACK_LIMIT)
}

function codeField(error: Error): { code?: string } {
  const { code } = error as { code?: unknown }
  const isOwn = error instanceof FixedTextError && typeof code === 'string'
  return isOwn || isErrorCode(code) ? { code } : {}
}

const FRAME = /^ {4}at /
const framesOf = ({ stack }: Error): string[] =>
  typeof stack === 'string' ? stack.split('\n', STACK_LINES).filter(line => FRAME.test(line)) : []

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const LOCATION = /(file:\/\/\/[^\s()?]+)(?:\?[^\s()]*)?:(\d{1,6}):\d{1,6}\)?$/
/** How many lines the files of this project have. */
const lengths = new Map<string, number>()

/**
 * The frames of the stack that lie in this project, as `src/integration/handlers/index.ts:12`. A message may have lines
 * that look like frames, so a place counts only where such a file has such a line.
 */
function placesOf(error: Error): string[] {
  const places = framesOf(error).flatMap(frame => {
    const [, url = '', line = ''] = LOCATION.exec(frame) ?? []
    return url === '' ? [] : guarded(() => placeOf(fileURLToPath(url), Number(line)), [])
  })
  return places.slice(0, Error.stackTraceLimit)
}

function placeOf(path: string, line: number): string[] {
  const inside = relative(ROOT, path).replaceAll(sep, '/')
  if (!/^(src|test)\//.test(inside)) return []
  const known = lengths.get(inside) ?? readFileSync(path, 'utf8').split('\n').length
  lengths.set(inside, known)
  return line >= 1 && line <= known ? [`${inside}:${line}`] : []
}
