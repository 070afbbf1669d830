import { readFileSync } from 'node:fs'
import { relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { classOf, FixedTextError, isErrorCode } from './disclosure.ts'

/** The store cannot do its work now. `code` is for the log and /ready; callers only ever see 503. */
export class StorageError extends FixedTextError {
  readonly code: string
  /** Nothing was kept of the transaction that this ended, and another try may succeed. */
  readonly repeatable: boolean
  constructor(code: string, options: { cause?: unknown; repeatable?: boolean } = {}) {
    super(`storage: ${code}`, 'cause' in options ? { cause: options.cause } : {})
    this.name = 'StorageError'
    this.code = code
    this.repeatable = options.repeatable ?? false
  }
}

/** Its code where it has no text: so it is of an attempt at several addresses. */
export function causeText(cause: unknown): string {
  const { message, code } = (cause ?? {}) as NodeJS.ErrnoException
  return message || code || 'no cause is known'
}

/** Says of an error what may be said of it. Never throws: an error may be anything, a Proxy that throws too. */
export interface DescribeError {
  /** For a log line. */
  fields(error: unknown): Record<string, unknown>
  /** For the list of deliveries and their stories: one line, in development followed by the stack's lines. */
  text(error: unknown): string
}

/** Of a text of `DescribeError`: what a list has room for. */
export const firstLine = (text: string): string => text.split('\n', 1)[0] ?? ''

const LINE_LIMIT = 200
const STACK_LIMIT = 4_000
const STACK_LINES = 100

/**
 * In production an error is told by its class, its code and the places of this project's code it passed; the message only
 * where it is a text of this source. A handler's error may quote a payload in any spelling and in any of its members. In
 * development the message and the stack are told too, but never a cause or other members, which may hold tokens.
 */
export function createDescribeError(production: boolean): DescribeError {
  const [fields, text] = production ? [fieldsInside, textInside] : [wholeFields, wholeText]
  return {
    fields: error => attempt(() => fields(error), { type: 'Error' }),
    text: error => attempt(() => text(error), 'error'),
  }
}

function attempt<T>(say: () => T, otherwise: T): T {
  try {
    return say()
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

/** SQLite's own text for its code, or PostgreSQL's SQLSTATE: a message of theirs may quote a row. */
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
 * The frames of the stack that lie in this project, as `src/integration/handlers/index.ts:12`. A message may hold lines that look
 * like frames, so a place counts only where there is such a file with such a line.
 */
function placesOf(error: Error): string[] {
  const places = framesOf(error).flatMap(frame => {
    const [, url = '', line = ''] = LOCATION.exec(frame) ?? []
    return url === '' ? [] : attempt(() => placeOf(fileURLToPath(url), Number(line)), [])
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
