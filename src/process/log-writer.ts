import { write, writeSync } from 'node:fs'

/** Writes the log's lines, and never waits for ever at exit, as pino's destination does when the disk is full. */
export interface LogWriter {
  /** An urgent line goes out at once, with those before it; others wait a moment for company. */
  write(line: string, urgent: boolean): void
  /** Writes at exit what is left; gives up after half a second, or where a write fails. */
  flushSync(): void
}

/** The most characters that wait: a reader that has stopped costs lines, not memory. */
const WAITING = 16 * 1024 * 1024
/** A write costs more than making a line, so lines go out together, this late at most. */
const TOGETHER_MS = 5
/** This many characters are worth a write of their own. */
const ENOUGH = 64 * 1024
const RETRY_MS = 20
const EXIT_MS = 500

/**
 * Writes many lines at once under load, without blocking anything else. What cannot be written, on a full disk say, is
 * lost, and the app goes on. A kill -9 takes the lines of the last milliseconds with it.
 */
export function createLogWriter(fd: number): LogWriter {
  let waiting = ''
  let hurry = false
  let writing = Buffer.alloc(0)
  let timer: NodeJS.Timeout | undefined

  function next(): void {
    clearTimeout(timer)
    timer = undefined
    hurry = false
    writing = Buffer.from(waiting)
    waiting = ''
    if (writing.length > 0) writeSome()
  }

  function writeSome(): void {
    write(fd, writing, (error, written) => {
      // The pipe is full.
      if (error?.code === 'EAGAIN') return void setTimeout(writeSome, RETRY_MS)
      writing = error ? Buffer.alloc(0) : writing.subarray(written)
      if (writing.length > 0) writeSome()
      else if (waiting !== '') writeSoon()
    })
  }

  function writeSoon(): void {
    if (hurry || waiting.length > ENOUGH) next()
    else timer ??= setTimeout(next, TOGETHER_MS)
  }

  return {
    write(line, urgent) {
      if (waiting.length + line.length > WAITING) return
      waiting += line
      hurry ||= urgent
      if (writing.length === 0) writeSoon()
    },
    flushSync() {
      const until = performance.now() + EXIT_MS
      let rest = Buffer.from(waiting)
      waiting = ''
      while (rest.length > 0 && performance.now() < until) {
        try {
          rest = rest.subarray(writeSync(fd, rest))
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
        }
      }
    },
  }
}
