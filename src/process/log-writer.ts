import { write, writeSync } from 'node:fs'

/** Where the log's lines go: pino's own destination retries for ever at exit when the disk is full or nobody reads. */
export interface LogWriter {
  write(line: string): void
  /** What is left, at exit; gives up after half a second, or where writing fails. */
  flushSync(): void
}

/** More than that waits for nobody: a reader that has stopped reading costs lines, not memory. */
const WAITING = 16 * 1024 * 1024
const RETRY_MS = 20
const EXIT_MS = 500

/**
 * Lines are written as soon as the ones before are out, many at once under load, and never in the way of anything
 * else. What cannot be written, on a full disk say, is lost; the app goes on.
 */
export function createLogWriter(fd: number): LogWriter {
  let waiting = ''
  let writing = Buffer.alloc(0)

  function next(): void {
    writing = Buffer.from(waiting)
    waiting = ''
    if (writing.length > 0) writeSome()
  }

  function writeSome(): void {
    write(fd, writing, (error, written) => {
      // A pipe that is full.
      if (error?.code === 'EAGAIN') return void setTimeout(writeSome, RETRY_MS)
      writing = error ? Buffer.alloc(0) : writing.subarray(written)
      if (writing.length > 0) writeSome()
      else next()
    })
  }

  return {
    write(line) {
      if (waiting.length + line.length > WAITING) return
      waiting += line
      if (writing.length === 0) next()
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
