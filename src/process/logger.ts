import type { FastifyBaseLogger } from 'fastify'
import { createDescribeError } from './errors.ts'
import { createLogWriter } from './log-writer.ts'

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
type Level = (typeof LEVELS)[number]
const WARN = LEVELS.indexOf('warn')

/** Writes a line; an urgent line is worth a write of its own. */
type WriteLine = (line: string, urgent: boolean) => void

interface Sink {
  readonly write: WriteLine
  readonly describeError: (error: unknown) => object
  readonly least: number
}

let said = { at: 0, text: '' }
/** The time in ISO 8601 UTC, made once a millisecond, which under load serves many lines. */
function isoTime(): string {
  const at = Date.now()
  if (at !== said.at) said = { at, text: `,"time":"${new Date(at).toISOString()}"` }
  return said.text
}

/** Writes JSON lines, or readable ones on a terminal where pino-pretty is installed (it is not in production). */
export async function createLogger(
  level: string,
  {
    terminal,
    production,
    secrets = [],
  }: { terminal: boolean; production: boolean; secrets?: readonly string[] },
): Promise<FastifyBaseLogger> {
  const describeError = createDescribeError(production).fields
  const pretty = terminal ? await import('pino-pretty').catch(() => undefined) : undefined
  if (pretty) {
    const stream = pretty.default({ ignore: 'part', singleLine: true })
    return createLines(
      level,
      without(secrets, line => void stream.write(line)),
      describeError,
    )
  }
  const writer = createLogWriter(1)
  process.once('exit', () => writer.flushSync())
  return createLines(level, without(secrets, writer.write), describeError)
}

function without(secrets: readonly string[], write: WriteLine): WriteLine {
  if (secrets.length === 0) return write
  const hidden = hiding(secrets)
  return (line, urgent) => write(hidden(line), urgent)
}

/** Takes these values out of a text, in whichever field of a line they stand. */
export function hiding(secrets: readonly string[]): (text: string) => string {
  const written = secrets.flatMap(secret => [secret, JSON.stringify(secret).slice(1, -1)])
  return text => written.reduce((left, secret) => left.replaceAll(secret, '[secret]'), text)
}

/** A logger of the shape that Fastify asks for; nothing below `level` is written. */
export const createLines = (
  level: string,
  write: WriteLine,
  describeError = createDescribeError(false).fields,
): FastifyBaseLogger => new Lines({ write, describeError, least: LEVELS.indexOf(level as Level) }, '')

/**
 * A class, because each request has a child, and methods of a prototype cost it nothing. A line costs a quarter of what
 * pino takes for it, child included; two are written of each delivery.
 */
class Lines implements FastifyBaseLogger {
  readonly #sink: Sink
  /** The fields of every line, as JSON members with a comma before. */
  readonly #bindings: string

  constructor(sink: Sink, bindings: string) {
    this.#sink = sink
    this.#bindings = bindings
  }

  get level(): Level {
    return LEVELS[this.#sink.least] ?? 'info'
  }

  child(bindings: object): FastifyBaseLogger {
    return new Lines(this.#sink, this.#bindings + members(bindings))
  }

  trace(first: unknown, message?: string): void {
    this.#line(0, first, message)
  }
  debug(first: unknown, message?: string): void {
    this.#line(1, first, message)
  }
  info(first: unknown, message?: string): void {
    this.#line(2, first, message)
  }
  warn(first: unknown, message?: string): void {
    this.#line(3, first, message)
  }
  error(first: unknown, message?: string): void {
    this.#line(4, first, message)
  }
  fatal(first: unknown, message?: string): void {
    this.#line(5, first, message)
  }
  silent(): void {}

  #line(level: number, first: unknown, message: string | undefined): void {
    const { least, write } = this.#sink
    if (level < least) return
    const text = typeof first === 'string' ? first : message
    const fields = typeof first === 'string' ? '' : members(this.#fields(first))
    const end = text === undefined ? '' : `,"msg":${JSON.stringify(text)}`
    write(`{"level":"${LEVELS[level]}"${isoTime()}${this.#bindings}${fields}${end}}\n`, level >= WARN)
  }

  #fields(first: unknown): object {
    const fields = first instanceof Error ? { err: first } : ((first ?? {}) as { err?: unknown })
    return fields.err === undefined ? fields : { ...fields, err: this.#sink.describeError(fields.err) }
  }
}

/** Never throws: a builder's fields may be circular, or hold a bigint. */
function members(fields: object): string {
  try {
    const text = JSON.stringify(fields).slice(1, -1)
    return text === '' ? '' : `,${text}`
  } catch {
    return Object.entries(fields).map(member).join('')
  }
}

function member([name, value]: readonly [string, unknown]): string {
  try {
    const text = JSON.stringify(value)
    return text === undefined ? '' : `,${JSON.stringify(name)}:${text}`
  } catch {
    return `,${JSON.stringify(name)}:"unprintable"`
  }
}
