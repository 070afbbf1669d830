import type { Options } from 'close-with-grace'
import type { Log } from './log.ts'

type Skippable = NonNullable<Options['skip']>[number]

/**
 * Those that close-with-grace would listen to. Not SIGBUS, SIGSEGV, SIGFPE and SIGILL: with a listener in JavaScript
 * the faulty instruction is tried again for ever, and a process that should be dead and restarted spins and is deaf.
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

/** One Ctrl-C comes twice where npm's shell replaces itself by this process: from the terminal, and from npm. */
const SAME_PRESS_MS = 300

/**
 * SIGTERM and SIGINT stop; a second one ends the process at once, with exit code 1, because it did not stop in order.
 * SIGHUP is left to who sent it: a terminal that closes also ends npm, which ends this process; under nohup it goes on.
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
  // Who reads the output may go away; a handler's console.log must not end the app.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  return seen
}
