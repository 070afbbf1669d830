import { type Logger, type LoggerOptions, pino } from 'pino'
import { createLogWriter } from './log-writer.ts'
import { causeText, StorageError } from './storage/storage-error.ts'

let said = { at: 0, text: '' }
/** ISO 8601 UTC; made once a millisecond, which under load is for many lines. */
function isoTime(): string {
  const at = Date.now()
  if (at !== said.at) said = { at, text: `,"time":"${new Date(at).toISOString()}"` }
  return said.text
}

/** A library's or the system's, such as ECONNRESET; not a text. */
const CODE = /^[A-Za-z0-9_]{1,60}$/

/** What may be said of an error: never its other members or its cause, which may hold tokens or payloads. */
function errorFields(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const code = (error as { code?: unknown }).code
  return {
    type: error.name,
    ...(typeof code === 'string' && CODE.test(code) ? { code } : {}),
    message: error.message,
    stack: error.stack,
    ...(error instanceof StorageError && error.cause instanceof Error
      ? { cause: causeText(error.cause) }
      : {}),
  }
}

/** JSON lines; readable ones on a terminal, where pino-pretty is installed (it is not in production). */
export async function createLogger(level: string, terminal: boolean): Promise<Logger> {
  const options = {
    level,
    base: null,
    timestamp: isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: errorFields, req: () => undefined, res: () => undefined },
  }
  if (!terminal) return lines(options)
  const pretty = await import('pino-pretty').catch(() => undefined)
  return pretty ? pino(options, pretty.default({ ignore: 'part', singleLine: true })) : lines(options)
}

function lines(options: LoggerOptions): Logger {
  const writer = createLogWriter(1)
  process.once('exit', () => writer.flushSync())
  return pino(options, writer)
}
