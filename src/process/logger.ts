import { type LogFn, type Logger, type LoggerOptions, pino } from 'pino'
import { createDescribeError } from './describe-error.ts'
import { createLogWriter } from './log-writer.ts'

let said = { at: 0, text: '' }
/** ISO 8601 UTC; made once a millisecond, which under load is for many lines. */
function isoTime(): string {
  const at = Date.now()
  if (at !== said.at) said = { at, text: `,"time":"${new Date(at).toISOString()}"` }
  return said.text
}

/** JSON lines; readable ones on a terminal, where pino-pretty is installed (it is not in production). */
export async function createLogger(
  level: string,
  { terminal, production }: { terminal: boolean; production: boolean },
): Promise<Logger> {
  const describeError = createDescribeError(production)
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: describeError.fields, req: () => undefined, res: () => undefined },
    ...(production ? { hooks: { logMethod: withOwnMessage } } : {}),
  }
  if (!terminal) return lines(options)
  const pretty = await import('pino-pretty').catch(() => undefined)
  return pretty ? pino(options, pretty.default({ ignore: 'part', singleLine: true })) : lines(options)
}

/** Pino takes the error's text for the message of a line that has none. */
function withOwnMessage(this: Logger, args: Parameters<LogFn>, method: LogFn): void {
  const [first, message] = args
  if (message === undefined && typeof first === 'object') method.call(this, first, 'error')
  else method.apply(this, args)
}

function lines(options: LoggerOptions): Logger {
  const writer = createLogWriter(1)
  process.once('exit', () => writer.flushSync())
  return pino(options, writer)
}
