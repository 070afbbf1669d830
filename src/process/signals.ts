import type { Options } from 'close-with-grace'
import type { Log } from './log.ts'

type Skippable = NonNullable<Options['skip']>[number]

/**
 * The signals that close-with-grace must not listen to. After SIGBUS, SIGSEGV, SIGFPE or SIGILL, a listener in JavaScript
 * would have the faulty instruction repeated for ever, in a process that should die and be restarted.
 */
export const ALL_SIGNALS: (NodeJS.Signals & Skippable)[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGSEGV',
  'SIGUSR2',
  'SIGTERM',
]

/** One Ctrl-C arrives twice, from the terminal and from npm, where npm's shell replaces itself by this process. */
const SAME_PRESS_MS = 300

/**
 * SIGTERM and SIGINT stop the app; a second one ends the process at once with exit code 1, because it did not stop in
 * order. SIGHUP is ignored: a closing terminal also ends npm, which ends this process, while under nohup it goes on.
 */
export function onSignals(stop: () => void, log: Log): { first: string | undefined } {
  const seen = { first: undefined as string | undefined, at: 0 }
  const onSignal = (signal: NodeJS.Signals) => {
    if (seen.first === undefined) {
      seen.first = signal
      seen.at = performance.now()
      return stop()
    }
    if (performance.now() - seen.at < SAME_PRESS_MS) return
    log.warn({ signal }, 'stopped at once, by a second signal')
    process.exit(1)
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  process.on('SIGHUP', () => log.info({ signal: 'SIGHUP' }, 'SIGHUP does nothing here; SIGTERM stops'))
  // A reader of the output may go away: console.log in a handler must not end the app then.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  return seen
}
