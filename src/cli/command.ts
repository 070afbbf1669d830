import { writeSync } from 'node:fs'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { ConfigError, keptByNpm } from '../config/settings.ts'
import { storageAdvice } from '../storage/advice.ts'
import type { Store } from '../storage/database.ts'

type Options = NonNullable<ParseArgsConfig['options']>
type Values<O extends Options> = ReturnType<typeof parseArgs<{ options: O; strict: true }>>['values']

/** A command that people type, as `npm run NAME`. */
export interface Command<O extends Options> {
  readonly name: string
  readonly help: string
  readonly options: O
  /** Whether it takes words beside its options. */
  readonly takesWords?: true
  /** Resolves with the exit code. */
  readonly main: (values: Values<O>, words: string[]) => Promise<number> | number
  /** What to say of an error of the command's own; undefined: as of any other. */
  readonly explain?: (error: Error) => string | undefined
}

/** What a person has to type instead. */
export class Usage extends Error {}

/** Whoever read the output has gone, as `head` does: nobody is left to say anything to. */
class OutputClosed extends Error {}

/** Runs a command to its exit code: options, --help, errors and output are the same for all of them. */
export async function runCommand<const O extends Options>(command: Command<O>): Promise<void> {
  // What cannot be said on stderr is said nowhere.
  process.stderr.on('error', () => {})
  process.exitCode = await start(command).catch((error: unknown) => {
    if (error instanceof OutputClosed) return 0
    process.stderr.write(`${visible(explain(command, error))}\n`)
    return 1
  })
}

async function start<O extends Options>({
  name,
  help,
  options,
  takesWords,
  main,
}: Command<O>): Promise<number> {
  const kept = keptByNpm(name, Object.keys(options))
  if (kept) throw new Usage(kept)
  if (parseArgs({ options: HELP, allowPositionals: true, strict: false }).values.help) {
    print(help)
    return 0
  }
  const { values, positionals } = parseArgs({ options, allowPositionals: takesWords ?? false, strict: true })
  return main(values, positionals)
}

const HELP = { help: { type: 'boolean', short: 'h' } } as const

function explain<O extends Options>(command: Command<O>, error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = command.explain?.(error)
  if (own !== undefined) return own
  const isFlag = String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS')
  if (isFlag || error instanceof Usage) return `${error.message}\nTry: npm run ${command.name} -- --help`
  if (error instanceof ConfigError || error instanceof Unusable) return error.message
  return error.stack ?? error.message
}

/** One text and the end of its line, for a person: what would move the cursor is shown instead of sent. */
export const print = (text: string): void => write(`${visible(text)}\n`)

/** One value as JSON on a line of its own; the terminal gets no control characters either. */
export const printJson = (value: unknown): void => write(`${escapeControls(JSON.stringify(value))}\n`)

/** Control characters, C1 too, and those that reorder or hide text, as \u escapes; lines stay lines. */
const visible = (text: string) => text.replaceAll('\r\n', '\n').split('\n').map(escapeControls).join('\n')
const escapeControls = (line: string) =>
  line.replaceAll(/(?!\t)[\p{Cc}\p{Cf}]/gu, one =>
    one.replaceAll(/./gs, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  )

const RETRY_MS = 20

/** Node's console passes over what it could not write. A pipe that is full is waited for. */
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

/** The store cannot be used: in words for the operator, who has no use for a stack. */
export class Unusable extends Error {}

export async function onStore<T>(store: Store, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const advice = storageAdvice(error, store)
    throw advice === undefined ? error : new Unusable(advice, { cause: error })
  }
}
