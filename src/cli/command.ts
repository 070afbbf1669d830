import { writeSync } from 'node:fs'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { type Config, ConfigError, keptByNpm, loadConfig, readEnvironment } from '../config/settings.ts'

type Options = NonNullable<ParseArgsConfig['options']>
export type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O; strict: true }>>['values']

/** A command that people type, as `npm run NAME`. */
export interface Command<O extends Options> {
  readonly name: string
  readonly help: string
  readonly options: O
  /** Whether it takes words beside its options. */
  readonly takesWords?: true
  /** Resolves with the exit code. */
  readonly main: (values: Values<O>, words: string[]) => Promise<number> | number
  /** The text for an error of the work itself. Undefined: the runner's own. */
  readonly explain?: (error: Error) => string | undefined
}

/** What was typed, or is set, is wrong: the message says what to type. */
export class Usage extends Error {}

/** What was typed is right and cannot be done now: the message says what to do first. */
export class Refused extends Error {}

/** The store cannot be used: the message is for an operator, to whom a stack is of no use. */
export class Unusable extends Error {}

/** The reader of the output has closed it, as `head` does. */
class OutputClosed extends Error {}

/** Runs a command to its exit code: options, --help, errors and output are the same for all of them. */
export async function runCommand<const O extends Options>(command: Command<O>): Promise<void> {
  // An error that stderr cannot take has no other place.
  process.stderr.on('error', () => {})
  process.exitCode = await start(command).catch((error: unknown) => {
    if (error instanceof OutputClosed) return 0
    process.stderr.write(`${visible(explain(command, error))}\n`)
    return 1
  })
}

async function start<O extends Options>(command: Command<O>): Promise<number> {
  const { name, help, options, takesWords = false, main } = command
  const kept = keptByNpm(name, Object.keys(options))
  if (kept) throw new Usage(kept)
  if (parseArgs({ options: HELP, allowPositionals: true, strict: false }).values.help) {
    print(help)
    return 0
  }
  const { values, positionals } = parseArgs({ options, allowPositionals: takesWords, strict: true })
  return main(values, positionals)
}

const HELP = { help: { type: 'boolean', short: 'h' } } as const

function explain<O extends Options>(command: Command<O>, error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const isFlag = String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS')
  if (isFlag || error instanceof Usage) return `${error.message}\nTry: npm run ${command.name} -- --help`
  if (error instanceof ConfigError || error instanceof Refused) return error.message
  return command.explain?.(error) ?? (error instanceof Unusable ? error.message : stackOf(error))
}

export const stackOf = ({ stack, message }: Error): string => stack ?? message

/** The settings as `npm start` reads them, from .env and the environment. */
export const readSettings = (): Config => loadConfig(readEnvironment({}))

/** The log of the work that a command runs, on stderr. It prints only its fields, never an error's cause. */
const logLine = (fields: object, message: string) => console.error(`  ${JSON.stringify(fields)} ${message}`)
export const stderrLog = { info: logLine, warn: logLine, error: logLine }

/** The value of an option that takes a whole number from 1 to `most`. */
export function wholeNumber(option: string, text: string, most: number): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (number < 1 || number > most) throw new Usage(`${option} takes a number from 1 to ${most}.`)
  return number
}

/** Prints a text as a line. A character that would move the cursor is shown instead of sent. */
export const print = (text: string): void => write(`${visible(text)}\n`)

/** Prints a value as JSON on a line of its own; the terminal gets no control characters either. */
export const printJson = (value: unknown): void => write(`${escapeControls(JSON.stringify(value))}\n`)

/** Control characters, C1 too, and those that reorder or hide text, as \u escapes; lines stay lines. */
const visible = (text: string) => text.replaceAll('\r\n', '\n').split('\n').map(escapeControls).join('\n')
const escapeControls = (line: string) =>
  line.replaceAll(/(?!\t)[\p{Cc}\p{Cf}]/gu, one =>
    one.replaceAll(/./gs, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  )

const RETRY_MS = 20

/** Writes all of the text, and waits for a full pipe: Node's console would drop what it could not write. */
function write(text: string): void {
  for (let rest = Buffer.from(text); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EPIPE') throw new OutputClosed()
      if (code !== 'EAGAIN') throw new Usage(`The output cannot be written (${code}).`)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
    }
  }
}
