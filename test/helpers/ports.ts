import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { isFree } from '../../src/cli/network.ts'

const FIRST = 12_000
const COUNT = 7_500

/**
 * A free port that no other test on this machine has been promised, though nothing listens on it yet. A promise is a
 * socket that listens on a port of its own: it is kept until this process is gone, however that ends.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + randomInt(COUNT)
    if ((await isTaken(port + COUNT)) && (await isFree(port))) return port
  }
}

const isTaken = (port: number) =>
  new Promise<boolean>(resolve => {
    const server = createServer().once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => resolve(true)).unref()
  })
